use serde::{Deserialize, Serialize};

/// The state of a service as seen from outside the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Not running and not requested.
    Idle,
    /// Requested, but it starts only with the first connection to its port.
    Asleep,
    /// Requested, but waiting for a dependency, a port or files.
    Waiting,
    /// Requested, but a dependency failed, is not ready in time or was stopped.
    Blocked,
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

/// The condition a dependency must meet before a dependent starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// Its process has started.
    Started,
    Ready,
    /// It has exited as expected.
    Completed,
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
