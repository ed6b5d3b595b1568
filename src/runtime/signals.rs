//! Signals to devstack itself.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that ask devstack to end.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    quit: Signal,
}

impl Signals {
    /// Begins to listen; from here on none of them ends the process by itself.
    pub fn listen() -> io::Result<Signals> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            quit: signal(SignalKind::quit())?,
        })
    }

    /// The next one: its number and what people call it.
    pub async fn next(&mut self) -> (i32, &'static str) {
        tokio::select! {
            Some(()) = self.interrupt.recv() => (2, "Ctrl-C"),
            Some(()) = self.terminate.recv() => (15, "SIGTERM"),
            Some(()) = self.hangup.recv() => (1, "SIGHUP"),
            Some(()) = self.quit.recv() => (3, "SIGQUIT"),
        }
    }
}
