use std::time::Duration;

use crate::model::{Message, ProcessExit};

/// The result of a probe command.
#[derive(Debug, Clone)]
pub struct Trial {
    /// How it ended.
    pub verdict: Verdict,
    /// The last bytes of stdout and stderr, as they came.
    pub said: Vec<u8>,
}

/// How a probe command ended.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// On its own.
    Ended(ProcessExit),
    /// It never ran, and why.
    NotStarted(Message),
    /// It was killed after this time.
    Late(Duration),
}
