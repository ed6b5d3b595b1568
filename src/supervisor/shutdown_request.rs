//! Shutdown requests from other parts of devstack.

use tokio::sync::mpsc;

use crate::engine::ShutdownMode;

/// A request to shut down the stack from devstack itself: on a time limit, a closed output, or the
/// exit of the command of `run`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShutdownRequest {
    /// The reason, as a fragment.
    pub why: String,
    /// The resulting exit code.
    pub code: i32,
    /// Graceful or immediate.
    pub haste: ShutdownMode,
}

/// Sends shutdown requests to the supervisor. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ShutdownHandle(mpsc::UnboundedSender<ShutdownRequest>);

impl ShutdownHandle {
    pub(super) fn new() -> (ShutdownHandle, mpsc::UnboundedReceiver<ShutdownRequest>) {
        let (send, receive) = mpsc::unbounded_channel();
        (ShutdownHandle(send), receive)
    }

    /// Shuts down gracefully: dependents first, each with its grace period.
    pub fn shut_down(&self, why: impl Into<String>, code: i32) {
        self.send(ShutdownRequest { why: why.into(), code, haste: ShutdownMode::Polite });
    }

    /// Kills everything.
    pub fn kill(&self, why: impl Into<String>, code: i32) {
        self.send(ShutdownRequest { why: why.into(), code, haste: ShutdownMode::Now });
    }

    fn send(&self, ending: ShutdownRequest) {
        // Without a receiver the supervisor has already finished.
        let _ = self.0.send(ending);
    }
}
