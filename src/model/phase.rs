use std::fmt;

use serde::{Deserialize, Serialize};

/// The state of a service as seen from outside the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Not running and not requested.
    Idle,
    /// Requested, but waiting for a dependency, a port or files.
    Waiting,
    /// Its process is being started, or runs and is not ready.
    Starting,
    /// Its process runs and every readiness probe passed.
    Ready,
    /// It runs, but missed its readiness timeout or its health probes fail.
    Unhealthy,
    /// It is being stopped, or its main process exited and the rest is being cleaned up.
    Stopping,
    /// It exited and restarts after a delay.
    Backoff,
    /// It exited as expected: a completed task, or a service with a success code.
    Done,
    /// It failed and does not start again unless something changes.
    Failed,
}

impl Phase {
    /// Returns the word used in the terminal and in JSON.
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

/// The condition a dependency must meet before a dependent starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// Its process has started.
    Started,
    /// It is ready.
    Ready,
    /// It has exited as expected.
    Completed,
}

impl Condition {
    /// Returns the word used in the file and in messages.
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

/// What a client waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WaitCondition {
    /// Services are ready and tasks have completed. Requests omit it.
    #[default]
    #[serde(skip)]
    Up,
    /// Each is ready; a completed task counts.
    Ready,
    /// Each has exited as expected.
    Completed,
    /// Nothing of each runs, and nothing starts it on its own.
    Stopped,
}
