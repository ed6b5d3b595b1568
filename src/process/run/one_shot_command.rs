use tokio::sync::mpsc;

use super::run_handle::RunHandle;
use super::run_report::{RunChange, RunReport};
use crate::model::{Message, ProcessExit};

/// A short command that is not a run of a service. It is kept like one, but its reports arrive
/// only here. Dropping this kills its tree.
#[derive(Debug)]
pub struct OneShotCommand {
    pub(crate) handle: RunHandle,
    pub(crate) run_reports: mpsc::UnboundedReceiver<RunReport>,
}

impl OneShotCommand {
    pub fn handle(&self) -> &RunHandle {
        &self.handle
    }

    /// Waits for the exit of its main process, or why it did not start. Resolves only once.
    pub async fn exited(&mut self) -> Result<ProcessExit, Message> {
        while let Some(report) = self.run_reports.recv().await {
            match report.what {
                RunChange::Exited(exit) => return Ok(exit),
                RunChange::SpawnFailed(why) => return Err(why),
                RunChange::Spawned { .. } | RunChange::TreeEmpty { .. } => {}
            }
        }
        // The run's task always reports this first; without the task devstack is shutting down.
        std::future::pending().await
    }

    /// Waits until its tree is empty. Returns why it failed, as in `failed (exit 1)`.
    pub(crate) async fn failure(&mut self) -> Option<String> {
        let mut failure = None;
        while let Some(report) = self.run_reports.recv().await {
            match report.what {
                RunChange::Spawned { .. } | RunChange::Exited(ProcessExit::Code(0)) => {}
                RunChange::SpawnFailed(why) => failure = Some(format!("could not start: {why}")),
                RunChange::Exited(exit) => failure = Some(format!("failed ({exit})")),
                RunChange::TreeEmpty { .. } => break,
            }
        }
        failure
    }

    /// Kills the tree and waits until it is empty and its output is read to the end. Returns the names
    /// of processes that outlived the main process.
    pub async fn emptied(&mut self) -> Vec<String> {
        self.handle.kill();
        while let Some(report) = self.run_reports.recv().await {
            match report.what {
                RunChange::TreeEmpty { orphans } => {
                    return orphans.into_iter().map(|(_, name)| name).collect();
                }
                RunChange::Spawned { .. } | RunChange::SpawnFailed(_) | RunChange::Exited(_) => {}
            }
        }
        Vec::new()
    }
}

impl Drop for OneShotCommand {
    fn drop(&mut self) {
        self.handle.kill();
    }
}
