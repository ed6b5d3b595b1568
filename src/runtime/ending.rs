//! How the rest of devstack ends the stack.

use tokio::sync::mpsc;

use crate::engine::Haste;

/// A wish to end the whole stack that comes from devstack itself: a time limit, a closed output,
/// the end of the command of `run`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// Why, as a fragment.
    pub why: String,
    /// The exit code that follows.
    pub code: i32,
    /// Polite or at once.
    pub haste: Haste,
}

/// Takes such wishes to the supervisor. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Ender(mpsc::UnboundedSender<Ending>);

impl Ender {
    pub(super) fn new() -> (Ender, mpsc::UnboundedReceiver<Ending>) {
        let (send, receive) = mpsc::unbounded_channel();
        (Ender(send), receive)
    }

    /// Ends the stack politely: dependents first, each with its grace.
    pub fn end(&self, why: impl Into<String>, code: i32) {
        self.send(Ending { why: why.into(), code, haste: Haste::Polite });
    }

    /// Kills everything.
    pub fn kill(&self, why: impl Into<String>, code: i32) {
        self.send(Ending { why: why.into(), code, haste: Haste::Now });
    }

    fn send(&self, ending: Ending) {
        // A supervisor that is gone has ended already.
        let _ = self.0.send(ending);
    }
}
