//! Signals to devstack itself.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::process;

/// The signals that devstack listens to.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// `None` under nohup: who ignores the end of a terminal wants to outlive it.
    hangup: Option<Signal>,
    quit: Signal,
    resized: Signal,
}

/// What a signal means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Called {
    /// Devstack is to end: the number of the signal, and what people call it.
    End(i32, &'static str),
    /// The terminal has another size.
    Resized,
}

impl Signals {
    /// Begins to listen; from here on none of them ends the process by itself.
    pub fn listen() -> io::Result<Signals> {
        let hangup = match process::ignores_hangup() {
            true => None,
            false => Some(signal(SignalKind::hangup())?),
        };
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup,
            quit: signal(SignalKind::quit())?,
            resized: signal(SignalKind::window_change())?,
        })
    }

    /// The next one that asks devstack to end: its number.
    pub async fn end(&mut self) -> i32 {
        loop {
            if let Called::End(number, _) = self.next().await {
                return number;
            }
        }
    }

    /// The next one.
    pub async fn next(&mut self) -> Called {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(()) = self.interrupt.recv() => Called::End(2, "Ctrl-C"),
            Some(()) = self.terminate.recv() => Called::End(15, "SIGTERM"),
            Some(()) = hangup => Called::End(1, "SIGHUP"),
            Some(()) = self.quit.recv() => Called::End(3, "SIGQUIT"),
            Some(()) = self.resized.recv() => Called::Resized,
        }
    }
}
