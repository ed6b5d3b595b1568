use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::Change;
use super::clock::file_time;
use super::cover::{Cover, Use};
use super::files::{Files, nearest_folder, resolved};
use super::filter::Filter;
use super::git;
use super::hold::Holds;
use super::inbox::{Batch, Inbox, Next, Order};
use super::settle::SETTLE;
use super::tree::{Changed, Id, Tree, Unknown};
use crate::model::{Watch, Watched};

/// How often folders that the system would not watch are looked at.
const POLL: Duration = Duration::from_secs(2);

/// How long after the walk reading the files begins: services start first.
pub(super) const READ_AFTER: Duration = Duration::from_secs(1);

/// The pause between two folders that are read, so that it takes a small part of one processor.
const READ_PAUSE: Duration = Duration::from_millis(1);

/// Bytes that are read at most to know the content of files beforehand. Beyond that, the first save of a
/// file counts even if it changes nothing.
const READ_MAX: u64 = 256 << 20;

/// How often git's lock is looked for while git works.
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// Folders may appear while the nearest ones are looked for; this often is enough for any honest tree.
const ROUNDS_MAX: usize = 8;

/// What tests make smaller.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Folders that are watched at most.
    pub folders: usize,
    /// See [`READ_AFTER`].
    pub read_after: Duration,
}

/// The thread that watches: all its state, and its loop.
pub(super) struct Lookout {
    inbox: Arc<Inbox>,
    changes: mpsc::UnboundedSender<Change>,
    limits: Limits,
    cover: Cover,
    tree: Tree,
    files: Files,
    /// One filter for all services that watch the same.
    filters: Vec<(Watch, Id)>,
    next_id: Id,
    services: BTreeMap<Watched, (Id, Duration)>,
    holds: Holds,
    /// Watched because a folder is to appear below.
    awaited: BTreeSet<PathBuf>,
    locks: BTreeSet<PathBuf>,
    git_since: Option<Instant>,
    poll_at: Option<Instant>,
    read_at: Option<Instant>,
    read: u64,
}

impl Lookout {
    pub fn new(
        inbox: Arc<Inbox>,
        changes: mpsc::UnboundedSender<Change>,
        limits: Limits,
    ) -> Lookout {
        Lookout {
            cover: Cover::new(inbox.clone(), limits.folders),
            inbox,
            changes,
            limits,
            tree: Tree::default(),
            files: Files::default(),
            filters: Vec::new(),
            next_id: 0,
            services: BTreeMap::new(),
            holds: Holds::default(),
            awaited: BTreeSet::new(),
            locks: BTreeSet::new(),
            git_since: None,
            poll_at: None,
            read_at: None,
            read: 0,
        }
    }

    /// Works until the inbox is closed.
    pub fn run(mut self) {
        loop {
            let quiet = self.services.values().map(|(_, settle)| *settle).min();
            let quiet = quiet.unwrap_or(SETTLE).min(SETTLE);
            match self.inbox.next(quiet, self.deadline()) {
                Next::Closed => return,
                Next::Order(order) => self.set(order),
                Next::Settled if self.git_works() => self.inbox.pause(LOCK_PAUSE),
                Next::Settled => self.examine(),
                Next::Time => {}
            }
            self.on_time();
            if let Some(message) = self.cover.trouble() {
                self.send(Change::Degraded(message));
            }
            if self.poll_at.is_none() && !self.cover.bare().is_empty() {
                self.poll_at = Some(Instant::now() + POLL);
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        [self.poll_at, self.read_at, self.holds.due()].into_iter().flatten().min()
    }

    fn set(&mut self, order: Order) {
        self.services.clear();
        let mut kept: Vec<(Watch, Id)> = Vec::new();
        let mut new = BTreeSet::new();
        for (name, watch) in order.services {
            let settle = watch.settle;
            let watch = Watch { root: resolved(&watch.root), settle: Duration::ZERO, ..watch };
            let known = kept.iter().chain(&self.filters).find(|(known, _)| *known == watch);
            let id = known.map(|(_, id)| *id).unwrap_or_else(|| {
                self.next_id += 1;
                self.tree.add(self.next_id, Filter::new(&watch, &watch.root));
                new.insert(self.next_id);
                self.next_id
            });
            if kept.iter().all(|(_, other)| *other != id) {
                kept.push((watch, id));
            }
            self.services.insert(name, (id, settle));
        }
        for (_, id) in std::mem::replace(&mut self.filters, kept) {
            if self.filters.iter().all(|(_, kept)| *kept != id) {
                self.tree.remove(id, &mut self.cover);
            }
        }
        self.holds.retain(|name| self.services.contains_key(name));
        self.locks = self.filters.iter().filter_map(|(w, _)| git::index_lock(&w.root)).collect();
        let late = self.files.set(&order.files, order.files_since, &mut self.cover);
        let mut changed = self.tree.walk(&new, Unknown::Old(order.services_since), &mut self.cover);
        changed.extend(self.arm(0));
        self.read_at = Some(Instant::now() + self.limits.read_after);
        self.tell(changed, Instant::now());
        late.into_iter().chain(self.tree.take_late()).for_each(|path| self.inbox.found(path));
    }

    /// Whether git holds its lock. Stops being true after a while, however long git holds it.
    fn git_works(&mut self) -> bool {
        if !self.locks.iter().any(|lock| git::is_locked(lock)) {
            self.git_since = None;
            return false;
        }
        self.git_since.get_or_insert_with(Instant::now).elapsed() < git::LOCK_MAX
    }

    fn examine(&mut self) {
        let batch = self.inbox.take();
        let last = batch.last.unwrap_or_else(Instant::now);
        let mut config = BTreeSet::new();
        let about_files = batch.paths.keys().any(|path| self.files.concerns(path));
        let mut changed = self.compare(&batch);
        if batch.everywhere || about_files {
            config = self.files.compare();
        }
        config.extend(self.files.arm(&mut self.cover));
        changed.extend(self.arm(u64::MAX));
        changed.extend(self.tree.refresh(file_time(), &mut self.cover));
        self.tree.take_late().into_iter().for_each(|path| self.inbox.found(path));
        self.tell(changed, last);
        self.tell_config(config);
    }

    fn compare(&mut self, batch: &Batch) -> Vec<Changed> {
        let mut changed = Vec::new();
        if batch.everywhere {
            self.cover.renew();
            changed = self.tree.resync_all(0, &mut self.cover);
        }
        for (path, touch) in &batch.paths {
            if touch.lost {
                self.cover.forget(path);
            }
            self.tree.look(path, *touch, &mut self.cover, &mut changed);
        }
        changed
    }

    /// Begins where folders have appeared that were awaited, and awaits the others at the nearest folder
    /// that is there.
    fn arm(&mut self, order: u64) -> Vec<Changed> {
        let mut changed = Vec::new();
        for _ in 0..ROUNDS_MAX {
            let absent = self.tree.absent();
            if absent.iter().any(|start| start.is_dir()) {
                let all = self.filters.iter().map(|(_, id)| *id).collect();
                changed.extend(self.tree.walk(&all, Unknown::New(order), &mut self.cover));
            }
            let absent = self.tree.absent();
            let need: BTreeSet<PathBuf> =
                absent.iter().filter_map(|start| nearest_folder(start.parent()?)).collect();
            for folder in self.awaited.difference(&need) {
                self.cover.release(folder, Use::Await);
            }
            let held = |folder: &&PathBuf| !self.cover.holds_for(folder, Use::Await);
            let new: Vec<PathBuf> = need.iter().filter(held).cloned().collect();
            self.awaited = need;
            if new.is_empty() {
                break;
            }
            self.cover.watch(new.into_iter(), Use::Await);
        }
        changed
    }

    fn on_time(&mut self) {
        let now = Instant::now();
        if self.poll_at.is_some_and(|at| at <= now) {
            self.poll();
        }
        if self.read_at.is_some_and(|at| at <= now) {
            self.read_some();
        }
        let due = self.holds.take(now);
        if !due.is_empty() {
            self.send(Change::Services(due));
        }
    }

    fn poll(&mut self) {
        self.cover.retry();
        let mut changed = Vec::new();
        for folder in self.cover.bare().clone() {
            self.tree.resync(&folder, 0, false, &mut self.cover, &mut changed);
        }
        let mut config = self.files.compare();
        config.extend(self.files.arm(&mut self.cover));
        changed.extend(self.arm(0));
        self.poll_at = (!self.cover.bare().is_empty()).then(|| Instant::now() + POLL);
        self.tell(changed, Instant::now());
        self.tell_config(config);
    }

    fn read_some(&mut self) {
        let read = if self.read < READ_MAX { self.tree.read_some() } else { None };
        self.read += read.unwrap_or_default();
        self.read_at = read.map(|_| Instant::now() + READ_PAUSE);
    }

    /// Tells each service that wants one of the files; or holds that back for its own settle time.
    fn tell(&mut self, mut changed: Vec<Changed>, last: Instant) {
        changed.sort_by_key(|changed| changed.order);
        let now = Instant::now();
        let mut ready = BTreeMap::new();
        for (name, (id, settle)) in &self.services {
            let wanted =
                |changed: &&Changed| changed.ids.contains(id) && self.is_source(&changed.path, *id);
            let Some(first) = changed.iter().find(wanted) else {
                continue;
            };
            if last + *settle <= now {
                ready.insert(name.clone(), first.path.clone());
            } else {
                self.holds.add(name.clone(), first.path.clone(), last, *settle);
            }
        }
        if !ready.is_empty() {
            self.send(Change::Services(ready));
        }
    }

    /// Whether this file is more than a part of the configuration to those who watch by this filter. Who watches
    /// a whole folder does not mean those in it: they say themselves whom they restart.
    fn is_source(&self, path: &Path, id: Id) -> bool {
        let names = |watch: &Watch| watch.include.iter().any(|glob| watch.root.join(glob) == path);
        !self.files.holds(path)
            || self.filters.iter().any(|(watch, other)| *other == id && names(watch))
    }

    fn tell_config(&self, changed: BTreeSet<PathBuf>) {
        if !changed.is_empty() {
            self.send(Change::Config(changed));
        }
    }

    fn send(&self, change: Change) {
        // Without a receiver the stack is ending, and the inbox will be closed.
        let _ = self.changes.send(change);
    }
}
