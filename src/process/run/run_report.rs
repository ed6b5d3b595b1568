use std::pin::Pin;
use std::sync::Arc;

use crate::model::{Message, OutputStream, ProcessExit, RunId};
use crate::sys::pty::Pty;

/// Something that happened to a run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunReport {
    /// The run it happened to.
    pub run: RunId,
    /// What happened.
    pub what: RunChange,
}

/// What can happen to a run. The order is fixed: `Spawned` and later `Exited`, or `SpawnFailed`;
/// then `TreeEmpty`, once and last.
#[derive(Debug, Clone, PartialEq)]
pub enum RunChange {
    /// The main process runs its program.
    Spawned {
        /// The main process, leader of its own session and group.
        pid: u32,
    },
    /// The run could not be started, and why.
    SpawnFailed(Message),
    /// The main process exited.
    Exited(ProcessExit),
    /// No process of the tree is alive, its output is read to the end and its sink is closed.
    TreeEmpty {
        /// Pid and short name of processes that outlived the main process although no stop was
        /// requested, or that did not stop when it was; at most 64. They are dead now.
        orphans: Vec<(u32, String)>,
    },
}

/// What [`OutputSink::full`] returns.
pub type BoxFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where the output of a run goes.
pub trait OutputSink: Send + 'static {
    /// The run is about to start, with this pty or without one. Not called if it cannot be tried.
    fn starting(&mut self, _terminal: Option<&Arc<Pty>>) {}
    /// Takes bytes as they were read, in order for each stream. Must not block. Lines of a pty end
    /// with `\r\n`.
    fn push(&mut self, stream: OutputStream, bytes: &[u8]);
    /// Resolves when the sink takes more output; `None`: now. The pipes are not read until then.
    fn full(&self) -> Option<BoxFuture> {
        None
    }
    /// The output has ended. `exit` is that of the main process, if there was one.
    fn closed(&mut self, exit: Option<ProcessExit>);
}
