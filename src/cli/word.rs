use serde::{Deserialize, Serialize};

use crate::control::LogItem;
use crate::model::{Message, Name};

/// What a stack in the background tells the process that was started in front, one JSON object a line. Both are the
/// same program, so this is nobody else's protocol.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Word {
    /// It has let go of the terminal, and begins.
    Begins {
        /// What names will stand before lines.
        services: Vec<Name>,
        /// The file to which it writes when devstack itself is broken.
        errors: String,
    },
    /// What it says, and whether some of that is lost.
    Log(LogItem),
    /// The start is over, and it goes on; with why that is not well, if it is not.
    Settled(Option<Message>),
    /// It ends before the start was over.
    Unsettled,
}
