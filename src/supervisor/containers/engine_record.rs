use std::sync::{Arc, Mutex};

use tokio::task::spawn_blocking;

use super::last_act::last_act;
use crate::model::{EngineAddress, StackContainers};
use crate::process::ProcessManager;
use crate::sync::lock_unpoisoned;

/// What the stack has in container engines, as the guard and the next devstack know it: each is told
/// before the engine is.
#[derive(Debug)]
pub struct EngineRecord {
    processes: Arc<ProcessManager>,
    /// Only ever locked for a moment.
    has: Arc<Mutex<StackContainers>>,
    /// Locked while it is written, so that the last write is the newest.
    writing: Arc<Mutex<()>>,
}

impl EngineRecord {
    /// Of a stack that has nothing there yet.
    pub fn new(processes: Arc<ProcessManager>) -> EngineRecord {
        let has = StackContainers::of_token(processes.token().to_owned());
        EngineRecord { processes, has: Arc::new(Mutex::new(has)), writing: Arc::default() }
    }

    /// Something of this name is about to be created in this engine.
    pub(super) async fn begin(&self, engine: &EngineAddress, name: &str) {
        {
            let mut has = lock_unpoisoned(&self.has);
            if !has.engines.contains(engine) {
                has.engines.push(engine.clone());
            }
            has.creations.push(name.to_owned());
        }
        // Fails only when the runtime is shutting down.
        let _ = spawn_blocking(self.writer()).await;
    }

    /// A container of this ID counts as the stack's own. `stays`: also when it ends.
    pub(super) async fn adopt(&self, engine: &EngineAddress, id: &str, stays: bool) {
        {
            let mut has = lock_unpoisoned(&self.has);
            if !has.engines.contains(engine) {
                has.engines.push(engine.clone());
            }
            match stays {
                true => has.borrowed.push(id.to_owned()),
                false => has.adopted.push(id.to_owned()),
            }
        }
        // Fails only when the runtime is shutting down.
        let _ = spawn_blocking(self.writer()).await;
    }

    /// It is gone, or stopped.
    pub(super) fn forget(&self, id: &str) {
        {
            let mut has = lock_unpoisoned(&self.has);
            has.adopted.retain(|known| known != id);
            has.borrowed.retain(|known| known != id);
        }
        // Not awaited: an ID is never used twice.
        spawn_blocking(self.writer());
    }

    /// It is there, or will never be.
    pub(super) fn settle(&self, name: &str) {
        let mut has = lock_unpoisoned(&self.has);
        let before = has.creations.len();
        has.creations.retain(|known| known != name);
        if has.creations.len() < before {
            // Not awaited: without it, a later cleanup only waits in vain for a while.
            spawn_blocking(self.writer());
        }
    }

    /// Returns all that there may be. `None`: nothing.
    pub(super) fn all(&self) -> Option<StackContainers> {
        let has = lock_unpoisoned(&self.has).clone();
        (!has.engines.is_empty()).then_some(has)
    }

    /// The guard has nothing to clean up any more.
    pub(super) fn nothing_is_left(&self) {
        self.processes.cancel_last_act();
    }

    fn writer(&self) -> impl FnOnce() + Send + 'static {
        let (processes, has) = (self.processes.clone(), self.has.clone());
        let writing = self.writing.clone();
        move || {
            let _one = lock_unpoisoned(&writing);
            let has = lock_unpoisoned(&has).clone();
            processes.has_containers(&has, &last_act(&has));
        }
    }
}
