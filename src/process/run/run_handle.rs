use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::stop_command::StopCommand;
use super::tree_usage::RunTree;
use crate::process::keeper::{KeeperConnection, KeeperOrder};
use crate::process::process_tree;

/// Controls a run. Nothing here blocks, and all of it does nothing once the run has ended. Dropping
/// the handle leaves the run alone.
#[derive(Debug, Clone)]
pub struct RunHandle {
    pub(crate) line: Option<Arc<KeeperConnection>>,
    pub(crate) pids: Arc<RunPids>,
    pub(crate) stopper: Arc<StopCommand>,
}

/// Pids of a run; 0 while unknown and after the end.
#[derive(Debug, Default)]
pub(crate) struct RunPids {
    pub keeper: AtomicU32,
    pub main: AtomicU32,
}

impl RunPids {
    fn tree_fn(&self) -> Vec<u32> {
        match self.keeper.load(Ordering::Relaxed) {
            0 => Vec::new(),
            keeper => process_tree::descendants(keeper),
        }
    }
}

impl RunHandle {
    /// Sends a signal that is not a request to stop, such as HUP, to the main process only.
    pub fn signal(&self, number: i32) {
        self.order(number, KeeperOrder::Signal);
    }

    /// Requests a stop: sends this signal and CONT to the main process's group. When the main
    /// process exits, the rest of the tree gets TERM and is killed after ten seconds or by `kill`.
    pub fn stop(&self, number: i32) {
        self.order(number, KeeperOrder::Stop);
    }

    /// Kills the whole tree until it is empty, and the stop command too.
    pub fn kill(&self) {
        self.stopper.kill();
        if let Some(line) = &self.line {
            line.send_order(KeeperOrder::Kill);
        }
    }

    /// Lists the live processes of the tree, main process first. On macOS without orphans.
    pub fn tree_pids(&self) -> Vec<u32> {
        self.pids.tree_fn()
    }

    /// Returns a function that lists the tree without keeping the run.
    pub fn tree_fn(&self) -> impl Fn() -> Vec<u32> + Send + Sync + 'static {
        let pids = self.pids.clone();
        move || pids.tree_fn()
    }

    /// Returns the tree to measure its usage.
    pub fn usage(&self) -> RunTree {
        RunTree(self.pids.clone())
    }

    /// Returns the main pid while it is known.
    pub(crate) fn main(&self) -> Option<u32> {
        Some(self.pids.main.load(Ordering::Relaxed)).filter(|pid| *pid != 0)
    }

    fn order(&self, number: i32, order: fn(u8) -> KeeperOrder) {
        if let Some(line) = &self.line
            && let Ok(number @ 1..=64) = u8::try_from(number)
        {
            line.send_order(order(number));
        }
    }
}
