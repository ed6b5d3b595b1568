use std::time::Duration;

use crate::model::{Exit, Message};

/// What came of the command of a probe.
#[derive(Debug, Clone)]
pub struct Trial {
    /// How it ended.
    pub verdict: Verdict,
    /// The end of what it printed, stdout and stderr as they came.
    pub said: Vec<u8>,
}

/// How the command of a probe ended.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// By itself.
    Ended(Exit),
    /// It never ran; why.
    NotStarted(Message),
    /// It was killed after this time.
    Late(Duration),
}
