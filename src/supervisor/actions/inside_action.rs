use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::container::signal_command;
use crate::model::{ContainerPlace, ProcessExit};
use crate::process::{OutputTail, ProcessManager};

/// How long an engine may take to signal what runs inside a container.
const LIMIT: Duration = Duration::from_secs(4);

/// The part of an action that runs inside a container, where no signal of this machine reaches it.
pub(super) struct InsideAction {
    pub processes: Arc<ProcessManager>,
    pub place: ContainerPlace,
    /// Tells it from other actions.
    pub number: u64,
}

impl InsideAction {
    /// Signals all its processes, with KILL until none is left. Returns whether that is done: where the
    /// container is gone, nothing is left to do.
    pub async fn signal(&self, signal: &str) -> bool {
        let launch = signal_command(&self.place, self.number, signal);
        let mut ender = self.processes.spawn_one_shot(&launch, OutputTail::new(0));
        match timeout(LIMIT, ender.exited()).await {
            // Engines say with it that a command cannot be run.
            Ok(Ok(ProcessExit::Code(126 | 127)) | Err(_)) | Err(_) => false,
            Ok(Ok(_)) => true,
        }
    }
}
