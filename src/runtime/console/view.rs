use std::sync::Arc;

use tokio::sync::Notify;

use super::console::Console;
use super::seen::Seen;
use crate::runtime::process::TermSize;

/// What a service's terminal shows from now on, read at the client's own speed.
#[derive(Debug)]
pub struct View {
    console: Arc<Console>,
    number: u64,
    bell: Arc<Notify>,
}

impl View {
    pub(super) fn new(console: Arc<Console>, number: u64, bell: Arc<Notify>) -> View {
        View { console, number, bell }
    }

    /// Waits for the next update. Cancelling loses nothing.
    pub async fn next(&mut self) -> Seen {
        loop {
            if let Some(seen) = self.now() {
                return seen;
            }
            self.bell.notified().await;
        }
    }

    /// Returns the next update if there is one.
    pub fn now(&mut self) -> Option<Seen> {
        self.console.take(self.number)
    }

    /// Sets the size of the client's screen.
    pub fn resize(&self, size: TermSize) {
        self.console.resize(self.number, size);
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.console.leave(self.number);
    }
}
