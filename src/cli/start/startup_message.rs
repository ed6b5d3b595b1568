use serde::{Deserialize, Serialize};

use crate::log::LogItem;
use crate::model::{Message, Name};

/// A message from the background to the foreground process of `up -d`, one JSON object per line.
/// Both are the same program, so compatibility does not matter.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum StartupMessage {
    /// The process has left the terminal and begins to start the stack.
    Begins {
        /// Service names that prefix lines.
        services: Vec<Name>,
        /// File that gets the stderr of the background process, for internal errors.
        errors: String,
    },
    /// A status line, or how many were missed.
    Log(LogItem),
    /// The start is finished and the stack keeps running; holds the problem if not all is well.
    Settled(Option<Message>),
    /// The stack stops before the start is finished.
    Unsettled,
}
