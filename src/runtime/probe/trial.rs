use std::time::Duration;

use crate::model::{Message, ProcessExit};

/// The result of a probe command.
#[derive(Debug, Clone)]
pub struct ProbeCommandOutput {
    /// How it ended.
    pub verdict: ProbeCommandEnd,
    /// The last bytes of stdout and stderr, as they came.
    pub said: Vec<u8>,
}

/// How a probe command ended.
#[derive(Debug, Clone)]
pub enum ProbeCommandEnd {
    /// On its own.
    Ended(ProcessExit),
    /// It never ran, and why.
    NotStarted(Message),
    /// It was killed after this time.
    Late(Duration),
}
