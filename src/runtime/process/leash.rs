use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::line::Line;
use super::spent::Tree;
use super::stopper::Stopper;
use super::tree;
use super::wire::Order;

/// The hold on a run. Nothing here waits, and nothing happens when the run is over. Dropping it lets the
/// run go on.
#[derive(Debug, Clone)]
pub struct Leash {
    pub(super) line: Option<Arc<Line>>,
    pub(super) pids: Arc<Pids>,
    pub(super) stopper: Arc<Stopper>,
}

/// Who is who, 0 while unknown and after the end.
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
    /// Sends a signal to the main process. For signals that do not mean the end, such as HUP for "read your
    /// configuration": what it means for the rest of the tree is the main process's to say.
    pub fn signal(&self, number: i32) {
        self.order(number, Order::Signal);
    }

    /// Sends a signal to the group of the main process, and CONT after it, as a request to stop: when the main process ends, the rest of its tree is asked to end,
    /// too, and has up to ten seconds, or until `kill`, to do so.
    pub fn stop(&self, number: i32) {
        self.order(number, Order::Stop);
    }

    /// Kills everything of the tree, wherever it hides, until nothing is left; and the command that was to
    /// stop it.
    pub fn kill(&self) {
        self.stopper.kill();
        if let Some(line) = &self.line {
            line.order(Order::Kill);
        }
    }

    /// The processes of the tree that are alive now, the main process first. On macOS those that still
    /// have their parents.
    pub fn tree_pids(&self) -> Vec<u32> {
        self.pids.tree()
    }

    /// The same for whoever only looks: without a hold on the run.
    pub fn tree(&self) -> impl Fn() -> Vec<u32> + Send + Sync + 'static {
        let pids = self.pids.clone();
        move || pids.tree()
    }

    /// The same tree, to find out what it uses.
    pub fn spending(&self) -> Tree {
        Tree(self.pids.clone())
    }

    /// The main process, while it is known.
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
