//! What is left of a process tree that was killed and is not gone.

use std::time::Duration;

use super::off_loop::off_loop;
use super::supervisor::Supervisor;
use crate::engine::{Input, KilledTree};

/// How often a tree is looked at of which nothing is found.
const LOOKS: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);

impl Supervisor {
    /// Finds out what is left of a tree, off the loop. Always answered.
    pub(super) fn inspect_survivors(&self, tree: KilledTree) {
        let tell = self.found.0.clone();
        let Some(look) = self.executor.survivors(tree) else {
            // Its end was reported already, or it never was.
            let input = match tree {
                KilledTree::Run(run) => Input::TreeEmpty(run),
                KilledTree::Job(job) => Input::JobEnded(job, Ok(())),
            };
            // Cannot fail: the receiver is ours.
            let _ = tell.send(input);
            return;
        };
        tokio::spawn(async move {
            let mut left = Vec::new();
            for _ in 0..LOOKS {
                left = off_loop(look.clone()).await.unwrap_or_default();
                if !left.is_empty() {
                    break;
                }
                // Its end may be about to be reported.
                tokio::time::sleep(PAUSE).await;
            }
            // The supervisor may have finished meanwhile.
            let _ = tell.send(Input::Survived(tree, left));
        });
    }
}
