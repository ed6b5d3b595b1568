//! How faces reach the supervisor.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use super::log::Logs;
use crate::model::{Class, Message, Name, Snapshot};

/// What a face may ask of the supervisor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Start these, with what they depend on.
    Start(Vec<Name>),
    /// Stop these.
    Stop(Vec<Name>),
    /// Stop these if they run, then start them.
    Restart(Vec<Name>),
    /// Stop everything and end.
    Down,
}

/// What came of a request, given when it took effect: a sentence, or why not.
pub type Answer = Result<String, Message>;

/// How a face reaches the supervisor of its own process. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    requests: mpsc::UnboundedSender<(Request, oneshot::Sender<Answer>)>,
    snapshot: watch::Receiver<Arc<Snapshot>>,
    logs: Logs,
}

impl Handle {
    pub(crate) fn new(
        requests: mpsc::UnboundedSender<(Request, oneshot::Sender<Answer>)>,
        snapshot: watch::Receiver<Arc<Snapshot>>,
        logs: Logs,
    ) -> Handle {
        Handle { requests, snapshot, logs }
    }

    /// Asks and waits until the answer is true.
    pub async fn ask(&self, request: Request) -> Answer {
        let (tell, answer) = oneshot::channel();
        let gone = || Message::new(Class::NotRunning, "the stack has ended");
        self.requests.send((request, tell)).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// What is now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.borrow().clone()
    }

    /// What is, whenever it changes.
    pub fn snapshots(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshot.clone()
    }

    /// What the services printed.
    pub fn logs(&self) -> &Logs {
        &self.logs
    }
}
