use serde::{Deserialize, Serialize};

use crate::model::{Exit, Message, Name, Run};

/// What happens beside the output, as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum AttachEvent {
    /// The first one.
    Attached {
        /// The service.
        service: Name,
        /// The run that goes on; `None`: the next one is waited for.
        run: Option<Run>,
        /// Why the service is in its phase.
        cause: String,
    },
    /// A run began.
    Began {
        /// Which.
        run: Run,
    },
    /// A run is over; the next one is waited for.
    Ended {
        /// Which.
        run: Run,
        /// How its main process ended; `None`: it had none, or the client has missed it.
        exit: Option<Exit>,
    },
    /// Output is lost here, because the client did not read.
    Missed {
        /// How many bytes.
        bytes: u64,
    },
    /// The last one. Its class is `not-running` when the stack has ended.
    Closed {
        /// Why.
        why: Message,
    },
    /// Something that came later than this version.
    #[serde(other)]
    Unknown,
}
