use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{mpsc, watch};

use super::fact::{Fact, What};
use super::leash::Leash;
use crate::model::Exit;

/// Where the command that stops a run has its place. There is one at most in the life of a run.
#[derive(Debug)]
pub(super) struct Stopper {
    state: Mutex<State>,
    /// Whether a command is at work.
    busy: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct State {
    /// There was a command, or there can be none any more.
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
    /// The place for a command, once, and only before the run is over.
    pub fn reserve(self: &Arc<Stopper>) -> Option<Place> {
        let mut state = self.lock();
        if std::mem::replace(&mut state.taken, true) {
            return None;
        }
        self.busy.send_replace(true);
        Some(Place(self.clone()))
    }

    /// Kills the command, if there is one.
    pub fn kill(&self) {
        let mut state = self.lock();
        state.killed = true;
        if let Some(command) = &state.command {
            command.kill();
        }
    }

    /// Whether the command was, or would have been, killed.
    pub fn was_killed(&self) -> bool {
        self.lock().killed
    }

    /// Waits for the end of the command; from now on there can be no other.
    pub async fn over(&self) {
        self.lock().taken = true;
        // An error would mean that the sender is gone, and it is ours.
        let _ = self.busy.subscribe().wait_for(|busy| !busy).await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Plain data: true whatever the holder was doing.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of a command. The command counts as over when this is dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<Stopper>);

impl Place {
    /// The command was started.
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

/// Waits until nothing is left of a command. Why it failed, as in `ended with exit 1`, or `None`.
pub(super) async fn outcome(mut facts: mpsc::UnboundedReceiver<Fact>) -> Option<String> {
    let mut failure = None;
    while let Some(fact) = facts.recv().await {
        match fact.what {
            What::Spawned { .. } | What::Exited(Exit::Code(0)) => {}
            What::NotSpawned(why) => failure = Some(format!("could not be started: {why}")),
            What::Exited(exit) => failure = Some(format!("ended with {exit}")),
            What::Emptied { .. } => break,
        }
    }
    failure
}
