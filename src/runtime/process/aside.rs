use tokio::sync::mpsc;

use super::fact::{Fact, What};
use super::leash::Leash;
use crate::model::{Message, ProcessExit};

/// A short command that is not a run of a service. It has a keeper like one, but its reports arrive
/// only here. Dropping this kills its tree.
#[derive(Debug)]
pub struct Aside {
    pub(super) leash: Leash,
    pub(super) facts: mpsc::UnboundedReceiver<Fact>,
}

impl Aside {
    /// Returns the handle of the command.
    pub fn leash(&self) -> &Leash {
        &self.leash
    }

    /// Waits for the exit of its main process, or why it did not start. Resolves only once.
    pub async fn exited(&mut self) -> Result<ProcessExit, Message> {
        while let Some(fact) = self.facts.recv().await {
            match fact.what {
                What::Exited(exit) => return Ok(exit),
                What::NotSpawned(why) => return Err(why),
                What::Spawned { .. } | What::Emptied { .. } => {}
            }
        }
        // The run's task always reports this first; without the task devstack is shutting down.
        std::future::pending().await
    }

    /// Kills the tree and waits until it is empty and its output is read to the end.
    pub async fn emptied(&mut self) {
        self.leash.kill();
        while let Some(fact) = self.facts.recv().await {
            match fact.what {
                What::Emptied { .. } => return,
                What::Spawned { .. } | What::NotSpawned(_) | What::Exited(_) => {}
            }
        }
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        self.leash.kill();
    }
}
