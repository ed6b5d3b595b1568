use std::io::stdout;
use std::path::Path;
use std::time::Duration;

use tokio::sync::oneshot;

use super::host::ClientHost;
use crate::cli::context;
use crate::control::ControlClient;
use crate::log::{OutputHold, StackLog, StatusText, StatusTone};
use crate::sys::signal;
use crate::tui::{TuiEnd, TuiSession};

/// How long the end of a stack waits until the TUI has given the terminal back.
const PATIENCE: Duration = Duration::from_secs(2);

/// The TUI of `up --tui`, before there is a stack.
pub struct LogCover(ClientHost);

/// The TUI of `up --tui`, on a thread of its own: nothing of the stack waits for it.
pub struct OverLog {
    left: oneshot::Receiver<()>,
}

impl LogCover {
    /// Must be called before there are threads and before the guard is forked.
    pub fn new() -> Option<LogCover> {
        Some(LogCover(ClientHost::new()))
    }

    /// Shows the stack with this socket. Its log follows once the TUI has been closed.
    pub fn show(self, socket: &Path, hold: OutputHold, logs: &StackLog) -> OverLog {
        let client = ControlClient::at(socket);
        let (logs, failed_logs) = (logs.clone(), logs.clone());
        let (tell, left) = oneshot::channel();
        let run = move || {
            let end = show(client, self.0);
            drop(hold);
            match end {
                // As if it had been pressed in the plain log.
                Ok(TuiEnd::Interrupted) => signal::signal_own_group(libc::SIGINT),
                Ok(TuiEnd::Closed | TuiEnd::StackEnded | TuiEnd::Signal(_)) => {}
                Err(error) => report(&logs, &error),
            }
            // The stack may have ended without waiting for it.
            let _ = tell.send(());
        };
        if let Err(error) = std::thread::Builder::new().name("tui".to_owned()).spawn(run) {
            report(&failed_logs, &error);
        }
        OverLog { left }
    }
}

impl OverLog {
    /// Waits until the terminal is given back, for a moment at most.
    pub async fn left(self) {
        let _ = tokio::time::timeout(PATIENCE, self.left).await;
    }
}

fn show(client: ControlClient, host: ClientHost) -> std::io::Result<TuiEnd> {
    let runtime = context::new_runtime()?;
    let color = context::color(&stdout());
    let end =
        runtime.block_on(async { Ok(TuiSession::begin(client, host, true, color)?.run().await) });
    runtime.shutdown_background();
    end
}

fn report(logs: &StackLog, error: &std::io::Error) {
    let text = format!("cannot show the TUI: {error}");
    logs.write_status(StatusText::stack_wide(StatusTone::Warning, text));
}
