use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::watch;

use super::run_handle::RunHandle;
use crate::sync::lock_unpoisoned;

/// The stop command of a run. A run has at most one in its life.
#[derive(Debug)]
pub(crate) struct StopCommand {
    state: Mutex<StopCommandState>,
    busy: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct StopCommandState {
    /// There was a command, or none may be started any more.
    taken: bool,
    command: Option<RunHandle>,
    killed: bool,
}

impl Default for StopCommand {
    fn default() -> StopCommand {
        StopCommand { state: Mutex::default(), busy: watch::Sender::new(false) }
    }
}

impl StopCommand {
    /// Reserves the slot for a command. `None` when it was reserved before or the run has ended.
    pub fn reserve(self: &Arc<StopCommand>) -> Option<StopCommandSlot> {
        let mut state = self.lock();
        if std::mem::replace(&mut state.taken, true) {
            return None;
        }
        self.busy.send_replace(true);
        Some(StopCommandSlot(self.clone()))
    }

    pub fn kill(&self) {
        let mut state = self.lock();
        state.killed = true;
        if let Some(command) = &state.command {
            command.kill();
        }
    }

    /// Whether the command was killed, or would have been had there been one.
    pub fn was_killed(&self) -> bool {
        self.lock().killed
    }

    /// Waits until the command has finished, and accepts no other from now on.
    pub async fn finished(&self) {
        self.lock().taken = true;
        // Cannot fail: the sender is ours.
        let _ = self.busy.subscribe().wait_for(|busy| !busy).await;
    }

    fn lock(&self) -> MutexGuard<'_, StopCommandState> {
        lock_unpoisoned(&self.state)
    }
}

/// The reserved slot of a command, which counts as finished when this is dropped.
#[derive(Debug)]
pub(crate) struct StopCommandSlot(Arc<StopCommand>);

impl StopCommandSlot {
    pub fn fill(&self, command: RunHandle) {
        let mut state = self.0.lock();
        if state.killed {
            command.kill();
        }
        state.command = Some(command);
    }
}

impl Drop for StopCommandSlot {
    fn drop(&mut self) {
        self.0.lock().command = None;
        self.0.busy.send_replace(false);
    }
}
