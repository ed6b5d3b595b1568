use serde::{Deserialize, Serialize};

use crate::model::{Message, Name, ProcessExit, RunId};

/// An event beside the output, as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum AttachEvent {
    /// Always the first event.
    Attached {
        service: Name,
        /// The current run; `None`: waiting for the next one.
        run: Option<RunId>,
        /// Why the service is in its phase.
        cause: String,
    },
    /// A run started.
    Began { run: RunId },
    /// A run ended; the next one is awaited.
    Ended {
        run: RunId,
        /// How its main process exited; `None` if it never had one or the client missed it.
        exit: Option<ProcessExit>,
    },
    /// Output is missing here because the client did not read.
    Missed {
        /// Number of bytes.
        bytes: u64,
    },
    /// Always the last event. The class is `not-running` if the stack stopped.
    Closed {
        /// The reason.
        why: Message,
    },
    /// An event that this version does not know.
    #[serde(other)]
    Unknown,
}
