use std::sync::Arc;

use tokio::sync::Notify;

use super::console::Console;
use super::seen::Seen;
use crate::runtime::process::Size;

/// What the terminal of a service shows, from when it was made. Reads at its own speed.
#[derive(Debug)]
pub struct View {
    console: Arc<Console>,
    /// Its number among the views of the console.
    number: u64,
    bell: Arc<Notify>,
}

impl View {
    pub(super) fn new(console: Arc<Console>, number: u64, bell: Arc<Notify>) -> View {
        View { console, number, bell }
    }

    /// What is seen next. A call that is dropped loses nothing.
    pub async fn next(&mut self) -> Seen {
        loop {
            if let Some(seen) = self.now() {
                return seen;
            }
            self.bell.notified().await;
        }
    }

    /// What is seen next, if it is there.
    pub fn now(&mut self) -> Option<Seen> {
        self.console.take(self.number)
    }

    /// It is seen on a screen of this size now.
    pub fn resize(&self, size: Size) {
        self.console.resize(self.number, size);
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.console.leave(self.number);
    }
}
