use std::sync::Arc;

use tokio::sync::Notify;

use super::service_terminal::ServiceTerminal;
use super::terminal_update::TerminalUpdate;
use crate::process::TermSize;

/// What a service's terminal shows from now on, read at the client's own speed.
#[derive(Debug)]
pub struct OutputView {
    console: Arc<ServiceTerminal>,
    number: u64,
    bell: Arc<Notify>,
}

impl OutputView {
    pub(super) fn new(console: Arc<ServiceTerminal>, number: u64, bell: Arc<Notify>) -> OutputView {
        OutputView { console, number, bell }
    }

    /// Waits for the next update. Cancelling loses nothing.
    pub async fn next(&mut self) -> TerminalUpdate {
        loop {
            if let Some(seen) = self.try_next() {
                return seen;
            }
            self.bell.notified().await;
        }
    }

    /// Returns the next update if there is one.
    pub fn try_next(&mut self) -> Option<TerminalUpdate> {
        self.console.next_update(self.number)
    }

    /// Sets the size of the client's screen.
    pub fn resize(&self, size: TermSize) {
        self.console.resize(self.number, size);
    }
}

impl Drop for OutputView {
    fn drop(&mut self) {
        self.console.detach(self.number);
    }
}
