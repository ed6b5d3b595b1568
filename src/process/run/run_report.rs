use crate::model::{Message, ProcessExit, RunId};

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
