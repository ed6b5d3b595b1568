use bytes::Bytes;

use crate::model::{Message, ProcessExit, RunId};

/// What an attached client gets, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum TerminalUpdate {
    /// Output of the terminal.
    Output(Bytes),
    /// Bytes of output that are missing here because the client did not take them in time.
    Missed(u64),
    /// A run began.
    Began(RunId),
    /// A run ended. The exit of its main process; `None` if there was none or it was missed.
    Ended(RunId, Option<ProcessExit>),
    /// No update follows, and why.
    Closed(Message),
}
