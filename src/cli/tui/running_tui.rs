use std::time::Duration;

use tokio::sync::oneshot;

#[cfg(feature = "tui")]
use super::host::ClientHost;

/// How long the end of a stack waits until the TUI has given the terminal back.
const PATIENCE: Duration = Duration::from_secs(2);

/// The TUI of `up --tui`, before there is a stack.
pub struct PendingTui {
    #[cfg(feature = "tui")]
    host: ClientHost,
}

/// The TUI of `up --tui`, on a thread of its own: nothing of the stack waits for it.
pub struct RunningTui {
    left: oneshot::Receiver<()>,
}

impl RunningTui {
    /// Waits until the terminal is given back, for a moment at most.
    pub async fn left(self) {
        // An error means the same.
        let _ = tokio::time::timeout(PATIENCE, self.left).await;
    }
}

#[cfg(not(feature = "tui"))]
impl PendingTui {
    /// Returns nothing: this build has no TUI.
    pub fn new() -> Option<PendingTui> {
        None
    }

    /// Shows nothing.
    pub fn show(
        self,
        _: &std::path::Path,
        _: crate::log::OutputHold,
        _: &crate::log::StackLog,
    ) -> RunningTui {
        RunningTui { left: oneshot::channel().1 }
    }
}

#[cfg(feature = "tui")]
mod host_tui {
    use std::io::{self, stdout};
    use std::path::Path;

    use tokio::sync::oneshot;

    use super::{PendingTui, RunningTui};
    use crate::cli::context;
    use crate::cli::tui::host::ClientHost;
    use crate::control::ControlClient;
    use crate::log::{OutputHold, StackLog, StatusText, StatusTone};
    use crate::sys::signal;
    use crate::tui::{TuiEnd, TuiSession};

    impl PendingTui {
        /// Must be called before there are threads and before the guard is forked.
        pub fn new() -> Option<PendingTui> {
            Some(PendingTui { host: ClientHost::new() })
        }

        /// Shows the stack with this socket. Its log follows once the TUI has been closed.
        pub fn show(self, socket: &Path, hold: OutputHold, logs: &StackLog) -> RunningTui {
            let client = ControlClient::at(socket);
            let (tell, left) = oneshot::channel();
            let shown = logs.clone();
            let run = move || {
                let end = show(client, self.host);
                drop(hold);
                match end {
                    // As if it had been pressed in the plain log.
                    Ok(TuiEnd::Interrupted) => signal::signal_own_group(libc::SIGINT),
                    Ok(TuiEnd::Closed | TuiEnd::StackEnded | TuiEnd::Signal(_)) => {}
                    Err(error) => report(&shown, &error),
                }
                // The stack may have ended without waiting for it.
                let _ = tell.send(());
            };
            if let Err(error) = std::thread::Builder::new().name("tui".to_owned()).spawn(run) {
                report(logs, &error);
            }
            RunningTui { left }
        }
    }

    fn show(client: ControlClient, host: ClientHost) -> io::Result<TuiEnd> {
        let runtime = context::new_runtime()?;
        let color = context::color(&stdout());
        let shown = async { Ok(TuiSession::begin(client, host, true, color)?.run().await) };
        let end = runtime.block_on(shown);
        runtime.shutdown_background();
        end
    }

    fn report(logs: &StackLog, error: &io::Error) {
        let text = format!("cannot show the TUI: {error}");
        logs.write_status(StatusText::stack_wide(StatusTone::Warning, text));
    }
}
