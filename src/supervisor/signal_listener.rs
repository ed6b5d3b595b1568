//! Signals to devstack itself.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::process;

/// Listens for signals.
pub struct SignalListener {
    interrupt: Signal,
    terminate: Signal,
    /// `None` under nohup: devstack is to outlive the terminal.
    hangup: Option<Signal>,
    quit: Signal,
    resized: Signal,
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignalAction {
    /// Shut down: number and display name of the signal.
    End(i32, &'static str),
    /// The terminal was resized.
    Resized,
}

impl SignalListener {
    /// Starts listening; from now on these signals no longer kill the process.
    pub fn listen() -> io::Result<SignalListener> {
        let hangup = match process::ignores_hangup() {
            true => None,
            false => Some(signal(SignalKind::hangup())?),
        };
        Ok(SignalListener {
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
            if let SignalAction::End(number, _) = self.next().await {
                return number;
            }
        }
    }

    /// Waits for the next signal.
    pub async fn next(&mut self) -> SignalAction {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(()) = self.interrupt.recv() => {
                process::note_interrupt();
                SignalAction::End(2, "Ctrl-C")
            }
            Some(()) = self.terminate.recv() => SignalAction::End(15, "SIGTERM"),
            Some(()) = hangup => SignalAction::End(1, "SIGHUP"),
            Some(()) = self.quit.recv() => SignalAction::End(3, "SIGQUIT"),
            Some(()) = self.resized.recv() => SignalAction::Resized,
        }
    }
}
