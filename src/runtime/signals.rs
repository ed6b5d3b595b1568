//! Signals to devstack itself.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::process;

/// Listens for signals.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// `None` under nohup: devstack is to outlive the terminal.
    hangup: Option<Signal>,
    quit: Signal,
    resized: Signal,
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Called {
    /// Shut down: number and display name of the signal.
    End(i32, &'static str),
    /// The terminal was resized.
    Resized,
}

impl Signals {
    /// Starts listening; from now on these signals no longer kill the process.
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

    /// Waits for the next signal to shut down and returns its number.
    pub async fn end(&mut self) -> i32 {
        loop {
            if let Called::End(number, _) = self.next().await {
                return number;
            }
        }
    }

    /// Waits for the next signal.
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
