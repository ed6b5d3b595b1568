use tokio::sync::mpsc;

use super::fact::{Fact, What};
use super::leash::Leash;
use crate::model::{Exit, Message};

/// A command that is no run of a service: it has a keeper like one and an end soon, and what becomes of it is
/// told here alone. Dropping this kills all that is left of it.
#[derive(Debug)]
pub struct Aside {
    pub(super) leash: Leash,
    pub(super) facts: mpsc::UnboundedReceiver<Fact>,
}

impl Aside {
    /// The hold on it.
    pub fn leash(&self) -> &Leash {
        &self.leash
    }

    /// How its main process ended, or why there was none. To be waited for once.
    pub async fn exited(&mut self) -> Result<Exit, Message> {
        while let Some(fact) = self.facts.recv().await {
            match fact.what {
                What::Exited(exit) => return Ok(exit),
                What::NotSpawned(why) => return Err(why),
                What::Spawned { .. } | What::Emptied { .. } => {}
            }
        }
        // The task that tells it always tells this first; without one devstack is ending.
        std::future::pending().await
    }

    /// Kills what is left, and waits until nothing is and its output was read to the end.
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
