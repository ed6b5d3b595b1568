use std::fmt;

use serde::{Deserialize, Serialize};

/// What everyone outside the engine sees of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Not running and not asked to run.
    Idle,
    /// Asked to run; something it depends on does not hold yet.
    Waiting,
    /// Its process is being started or runs without being ready.
    Starting,
    /// Its process runs and every readiness probe holds.
    Ready,
    /// It was ready and its health probes fail.
    Unhealthy,
    /// It was told to stop, or its main process ended and the rest of its tree is being ended.
    Stopping,
    /// It ended unexpectedly and is started again after a delay.
    Backoff,
    /// It ended as expected: a task that completed, a service that exited with a success code.
    Done,
    /// It failed and is not started again unless something changes.
    Failed,
}

impl Phase {
    /// The word used in the terminal and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Idle => "idle",
            Phase::Waiting => "waiting",
            Phase::Starting => "starting",
            Phase::Ready => "ready",
            Phase::Unhealthy => "unhealthy",
            Phase::Stopping => "stopping",
            Phase::Backoff => "backoff",
            Phase::Done => "done",
            Phase::Failed => "failed",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What must be true of a dependency before a dependent starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// Its process was started.
    Started,
    /// It is ready.
    Ready,
    /// It ended as expected.
    Completed,
}

impl Condition {
    /// The word used in the file and in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Condition::Started => "started",
            Condition::Ready => "ready",
            Condition::Completed => "completed",
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
