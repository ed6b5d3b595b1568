use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;

use super::key_queue::KeyQueue;
use super::service_terminal::ServiceTerminal;
use crate::model::{Message, ProcessExit, RunId};
use crate::process::TermSize;

/// A client's connection to a service's terminal. Dropping it detaches.
#[derive(Debug)]
pub struct Attachment {
    pub view: OutputView,
    /// The input.
    pub keyboard: KeyQueue,
    /// Makes a full-screen program redraw, if it needs that.
    pub nudge: Option<RedrawTrigger>,
}

/// What a service's terminal shows from now on, read at the client's own speed.
#[derive(Debug)]
pub struct OutputView {
    pub(super) console: Arc<ServiceTerminal>,
    pub(super) number: u64,
    pub(super) bell: Arc<Notify>,
}

/// What an attached client gets, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum TerminalUpdate {
    Output(Bytes),
    /// Bytes of output that are missing here because the client did not take them in time.
    Missed(u64),
    Began(RunId),
    /// A run ended. The exit of its main process; `None` if there was none or it was missed.
    Ended(RunId, Option<ProcessExit>),
    /// No update follows, and why.
    Closed(Message),
}

impl OutputView {
    /// Waits for the next update. Cancelling loses nothing.
    pub async fn next(&mut self) -> TerminalUpdate {
        loop {
            if let Some(seen) = self.try_next() {
                return seen;
            }
            self.bell.notified().await;
        }
    }

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

/// Long enough for a program to read the smaller size and redraw, and hardly visible. If both
/// changes came at once, it would see none.
const MOMENT: Duration = Duration::from_millis(100);

/// Makes a full-screen program redraw for a new client: the terminal has one row less while this
/// lives.
#[derive(Debug)]
pub struct RedrawTrigger(pub(super) Arc<ServiceTerminal>);

impl RedrawTrigger {
    /// Keeps it alive for a moment.
    pub async fn hold(self) {
        tokio::time::sleep(MOMENT).await;
    }
}

impl Drop for RedrawTrigger {
    fn drop(&mut self) {
        self.0.end_redraw();
    }
}
