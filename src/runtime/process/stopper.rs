use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{mpsc, watch};

use super::fact::{Fact, What};
use super::leash::Leash;
use crate::model::ProcessExit;

/// The stop command of a run. A run has at most one in its life.
#[derive(Debug)]
pub(super) struct Stopper {
    state: Mutex<State>,
    busy: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct State {
    /// There was a command, or none may be started any more.
    taken: bool,
    command: Option<Leash>,
    killed: bool,
}

impl Default for Stopper {
    fn default() -> Stopper {
        Stopper { state: Mutex::default(), busy: watch::Sender::new(false) }
    }
}

impl Stopper {
    /// Reserves the slot for a command. `None` when it was reserved before or the run has ended.
    pub fn reserve(self: &Arc<Stopper>) -> Option<Place> {
        let mut state = self.lock();
        if std::mem::replace(&mut state.taken, true) {
            return None;
        }
        self.busy.send_replace(true);
        Some(Place(self.clone()))
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
    pub async fn over(&self) {
        self.lock().taken = true;
        // Cannot fail: the sender is ours.
        let _ = self.busy.subscribe().wait_for(|busy| !busy).await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Plain data: valid wherever the holder panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The reserved slot of a command, which counts as finished when this is dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<Stopper>);

impl Place {
    pub fn fill(&self, command: Leash) {
        let mut state = self.0.lock();
        if state.killed {
            command.kill();
        }
        state.command = Some(command);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.lock().command = None;
        self.0.busy.send_replace(false);
    }
}

/// Waits until the command's tree is empty. Returns why it failed, as in `failed (exit 1)`.
pub(super) async fn outcome(mut facts: mpsc::UnboundedReceiver<Fact>) -> Option<String> {
    let mut failure = None;
    while let Some(fact) = facts.recv().await {
        match fact.what {
            What::Spawned { .. } | What::Exited(ProcessExit::Code(0)) => {}
            What::NotSpawned(why) => failure = Some(format!("could not start: {why}")),
            What::Exited(exit) => failure = Some(format!("failed ({exit})")),
            What::Emptied { .. } => break,
        }
    }
    failure
}
