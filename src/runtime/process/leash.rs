use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::line::Line;
use super::spent::Tree;
use super::stopper::Stopper;
use super::tree;
use super::wire::Order;

/// Controls a run. Nothing here blocks, and all of it does nothing once the run has ended. Dropping
/// the handle leaves the run alone.
#[derive(Debug, Clone)]
pub struct Leash {
    pub(super) line: Option<Arc<Line>>,
    pub(super) pids: Arc<Pids>,
    pub(super) stopper: Arc<Stopper>,
}

/// Pids of a run; 0 while unknown and after the end.
#[derive(Debug, Default)]
pub(super) struct Pids {
    pub keeper: AtomicU32,
    pub main: AtomicU32,
}

impl Pids {
    fn tree(&self) -> Vec<u32> {
        match self.keeper.load(Ordering::Relaxed) {
            0 => Vec::new(),
            keeper => tree::descendants(keeper),
        }
    }
}

impl Leash {
    /// Sends a signal that is not a request to stop, such as HUP, to the main process only.
    pub fn signal(&self, number: i32) {
        self.order(number, Order::Signal);
    }

    /// Requests a stop: sends this signal and CONT to the main process's group. When the main
    /// process exits, the rest of the tree gets TERM and is killed after ten seconds or by `kill`.
    pub fn stop(&self, number: i32) {
        self.order(number, Order::Stop);
    }

    /// Kills the whole tree until it is empty, and the stop command too.
    pub fn kill(&self) {
        self.stopper.kill();
        if let Some(line) = &self.line {
            line.order(Order::Kill);
        }
    }

    /// Lists the live processes of the tree, main process first. On macOS without orphans.
    pub fn tree_pids(&self) -> Vec<u32> {
        self.pids.tree()
    }

    /// Returns a function that lists the tree without keeping the run.
    pub fn tree(&self) -> impl Fn() -> Vec<u32> + Send + Sync + 'static {
        let pids = self.pids.clone();
        move || pids.tree()
    }

    /// Returns the tree to measure its usage.
    pub fn spending(&self) -> Tree {
        Tree(self.pids.clone())
    }

    /// Returns the main pid while it is known.
    pub(super) fn main(&self) -> Option<u32> {
        Some(self.pids.main.load(Ordering::Relaxed)).filter(|pid| *pid != 0)
    }

    fn order(&self, number: i32, order: fn(u8) -> Order) {
        if let Some(line) = &self.line
            && let Ok(number @ 1..=64) = u8::try_from(number)
        {
            line.order(order(number));
        }
    }
}
