use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::stop_command::StopCommand;
use super::tree_usage::RunTree;
use crate::model::{RunId, SERVICE_VAR};
use crate::process::guard::GuardConnection;
use crate::process::keeper::KeeperOrder;
use crate::process::process_tree;
use crate::sync::lock_unpoisoned;
use crate::sys::{process, run_mark};

/// Controls a run. Nothing here blocks, and all of it does nothing once the run has ended. Dropping
/// the handle leaves the run alone.
#[derive(Debug, Clone)]
pub struct RunHandle {
    /// `None` if the run could not even be tried.
    pub(crate) link: Option<(RunId, Arc<GuardConnection>)>,
    pub(crate) pids: Arc<RunPids>,
    pub(crate) stopper: Arc<StopCommand>,
}

/// The main processes of all runs.
#[derive(Debug, Default)]
pub(crate) struct MainPids(Mutex<BTreeSet<u32>>);

/// Pids of a run; 0 while unknown and after the end.
#[derive(Debug, Default)]
pub(crate) struct RunPids {
    mains: Arc<MainPids>,
    /// The parent of the main process, which adopts its orphans.
    parent: AtomicU32,
    main: AtomicU32,
    /// Tells its orphans from those of other runs; 0: they have a keeper of their own as parent.
    mark: AtomicU64,
    /// Tells those that have lost their mark.
    service: Option<String>,
}

/// Orphans among the children of guards.
#[derive(Debug, Default)]
pub(super) struct OrphanIndex(BTreeMap<u32, AdoptedOrphans>);

#[derive(Debug, Default)]
struct AdoptedOrphans {
    by_mark: BTreeMap<u64, Vec<u32>>,
    /// Those without a mark, by the service in their environment.
    by_service: BTreeMap<String, Vec<u32>>,
}

impl OrphanIndex {
    fn orphans(&mut self, guard: u32, mark: u64, of: &RunPids) -> Vec<u32> {
        let AdoptedOrphans { by_mark, by_service } =
            self.0.entry(guard).or_insert_with(|| AdoptedOrphans::of(guard, &of.mains));
        let named = of.service.as_ref().and_then(|service| by_service.get(service));
        let found = [by_mark.get(&mark), named];
        found.into_iter().flatten().flatten().copied().collect()
    }
}

impl AdoptedOrphans {
    fn of(guard: u32, mains: &MainPids) -> AdoptedOrphans {
        let mut found = AdoptedOrphans::default();
        let mut children = process::children(guard);
        let mains = lock_unpoisoned(&mains.0);
        children.retain(|child| !mains.contains(child));
        drop(mains);
        for child in children {
            if let Some(mark) = run_mark::of(child) {
                found.by_mark.entry(mark).or_default().push(child);
            } else if let Some(service) = process::env_var_of(child, SERVICE_VAR) {
                found.by_service.entry(service).or_default().push(child);
            }
        }
        found
    }
}

impl RunPids {
    pub fn new(mains: Arc<MainPids>, service: Option<String>) -> RunPids {
        RunPids { mains, service, ..RunPids::default() }
    }

    /// The main process runs below its own keeper, or below the guard with this mark.
    pub fn set(&self, keeper: Option<u32>, guard: u32, main: u32, mark: u64) {
        self.mark.store(if keeper.is_some() { 0 } else { mark }, Ordering::Relaxed);
        self.parent.store(keeper.unwrap_or(guard), Ordering::Relaxed);
        self.main.store(main, Ordering::Relaxed);
        lock_unpoisoned(&self.mains.0).insert(main);
    }

    pub fn clear(&self) {
        self.main_exited();
        self.parent.store(0, Ordering::Relaxed);
    }

    /// The main process is reaped, so its number may come again.
    pub fn main_exited(&self) {
        let main = self.main.swap(0, Ordering::Relaxed);
        lock_unpoisoned(&self.mains.0).remove(&main);
    }

    /// Returns the main pid while it is known.
    pub fn main(&self) -> Option<u32> {
        Some(self.main.load(Ordering::Relaxed)).filter(|pid| *pid != 0)
    }

    /// Returns the keeper of this run alone, if it has one.
    pub fn keeper(&self) -> Option<u32> {
        let parent = self.parent.load(Ordering::Relaxed);
        (parent != 0 && self.mark.load(Ordering::Relaxed) == 0).then_some(parent)
    }

    /// Returns the processes of the run that all others descend from, main process first.
    pub(super) fn roots(&self, index: &mut OrphanIndex) -> Vec<u32> {
        let (parent, main) = (self.parent.load(Ordering::Relaxed), self.main());
        let mark = self.mark.load(Ordering::Relaxed);
        match (parent, mark) {
            (0, _) => Vec::new(),
            (keeper, 0) => {
                let mut children = process::children(keeper);
                children.sort_by_key(|pid| Some(*pid) != main);
                children
            }
            (guard, mark) => {
                let orphans = index.orphans(guard, mark, self);
                main.into_iter().chain(orphans).collect()
            }
        }
    }

    fn tree_fn(&self) -> Vec<u32> {
        process_tree::with_descendants(&self.roots(&mut OrphanIndex::default()))
    }
}

impl RunHandle {
    /// Sends a signal that is not a request to stop, such as HUP, to the main process only.
    pub fn signal(&self, number: i32) {
        self.order_signal(number, KeeperOrder::Signal);
    }

    /// Requests a stop: sends this signal and CONT to the main process's group. When the main
    /// process exits, the rest of the tree gets TERM and is killed after ten seconds or by `kill`.
    pub fn stop(&self, number: i32) {
        self.order_signal(number, KeeperOrder::Stop);
    }

    /// Kills the whole tree until it is empty, and the stop command too.
    pub fn kill(&self) {
        self.stopper.kill();
        self.order(KeeperOrder::Kill);
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
        RunTree::new(self.pids.clone())
    }

    /// Returns the main pid while it is known.
    pub(crate) fn main(&self) -> Option<u32> {
        self.pids.main()
    }

    pub(crate) fn order(&self, order: KeeperOrder) {
        if let Some((run, link)) = &self.link {
            link.order(*run, order);
        }
    }

    fn order_signal(&self, number: i32, order: fn(u8) -> KeeperOrder) {
        if let Ok(number @ 1..=64) = u8::try_from(number) {
            self.order(order(number));
        }
    }
}
