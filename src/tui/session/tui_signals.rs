use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::sys::signal as sys_signal;

pub struct TuiSignals {
    resized: Signal,
    suspend: Signal,
    continued: Signal,
    /// Those that end a program. Under `up`, its supervisor has them.
    ends: Option<[Signal; 4]>,
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TuiSignal {
    Resized,
    Suspend,
    Continued,
    End(i32),
}

impl TuiSignals {
    /// Starts listening.
    pub fn listen(over_log: bool) -> io::Result<TuiSignals> {
        let ends = || -> io::Result<[Signal; 4]> {
            Ok([
                signal(SignalKind::interrupt())?,
                signal(SignalKind::terminate())?,
                signal(SignalKind::hangup())?,
                signal(SignalKind::quit())?,
            ])
        };
        Ok(TuiSignals {
            resized: signal(SignalKind::window_change())?,
            suspend: signal(SignalKind::from_raw(libc::SIGTSTP))?,
            continued: signal(SignalKind::from_raw(libc::SIGCONT))?,
            ends: if over_log { None } else { Some(ends()?) },
        })
    }

    /// Waits for the next signal.
    pub async fn next(&mut self) -> TuiSignal {
        let ends = &mut self.ends;
        let end = async {
            match ends {
                Some([interrupt, terminate, hangup, quit]) => tokio::select! {
                    Some(()) = interrupt.recv() => libc::SIGINT,
                    Some(()) = terminate.recv() => libc::SIGTERM,
                    Some(()) = hangup.recv() => libc::SIGHUP,
                    Some(()) = quit.recv() => libc::SIGQUIT,
                },
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(()) = self.resized.recv() => TuiSignal::Resized,
            Some(()) = self.suspend.recv() => TuiSignal::Suspend,
            Some(()) = self.continued.recv() => TuiSignal::Continued,
            number = end => TuiSignal::End(number),
        }
    }
}

impl Drop for TuiSignals {
    fn drop(&mut self) {
        // Signals are no longer read, but the program may go on.
        sys_signal::reset_suspend_signal();
    }
}
