use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::Change;
use super::clock::file_time;
use super::cover::{Cover, Use};
use super::files::{Files, nearest_folder};
use super::filter::Filter;
use super::git;
use super::hold::Holds;
use super::inbox::{Inbox, Next, Order};
use super::pending::{Due, Pending, Step};
use super::polls::Polls;
use super::settle::SETTLE;
use super::tree::{Changed, Id, Tree, Unknown};
use super::waits::Waits;
use crate::model::{WatchAction, WatchConfig, WatchId};

#[cfg(target_os = "linux")]
use super::linux as system;
#[cfg(target_os = "macos")]
use super::macos as system;

/// Delay of background hashing after a walk: services start first.
pub(super) const READ_AFTER: Duration = Duration::from_secs(1);

/// Pause between two hashed directories, to use little CPU time.
const READ_PAUSE: Duration = Duration::from_millis(1);

/// Maximum bytes read to hash files in advance. Beyond it, the first save of a file counts even if
/// it changes nothing.
const READ_MAX: u64 = 256 << 20;

/// How often to check git while it is busy.
const GIT_PAUSE: Duration = Duration::from_millis(5);

/// Directories may appear while the nearest ones are searched; this many rounds suffice for any
/// sane tree.
const ROUNDS_MAX: usize = 8;

/// Limits that tests reduce.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Maximum number of watched directories.
    pub folders: usize,
    /// See [`HASH_DELAY`].
    pub read_after: Duration,
}

/// The watching thread: its state and its loop.
pub(super) struct Lookout {
    inbox: Arc<Inbox>,
    changes: mpsc::UnboundedSender<Change>,
    limits: Limits,
    cover: Cover,
    tree: Tree,
    files: Files,
    /// Services with equal `watch` share a filter.
    filters: Vec<(WatchConfig, Id)>,
    next_id: Id,
    services: BTreeMap<WatchId, (Id, Duration)>,
    pending: Pending,
    holds: Holds,
    /// Whether it was reported that more files are changing.
    more: bool,
    /// Directories watched because a missing one will appear below.
    awaited: BTreeSet<PathBuf>,
    waits: Waits,
    /// Git directories of the repositories with watched files.
    gits: BTreeSet<PathBuf>,
    git_since: Option<Instant>,
    polls: Polls,
    /// Keeps the thread alive that reports mount changes.
    mounts: Option<OwnedFd>,
    read_at: Option<Instant>,
    read: u64,
}

impl Lookout {
    pub fn new(
        inbox: Arc<Inbox>,
        changes: mpsc::UnboundedSender<Change>,
        limits: Limits,
        own: BTreeSet<(u64, u64)>,
    ) -> Lookout {
        Lookout {
            cover: Cover::new(inbox.clone(), limits.folders),
            inbox,
            changes,
            limits,
            tree: Tree::without(own),
            files: Files::default(),
            filters: Vec::new(),
            next_id: 0,
            services: BTreeMap::new(),
            pending: Pending::default(),
            holds: Holds::default(),
            more: false,
            awaited: BTreeSet::new(),
            waits: Waits::default(),
            gits: BTreeSet::new(),
            git_since: None,
            polls: Polls::default(),
            mounts: None,
            read_at: None,
            read: 0,
        }
    }

    /// Runs until the inbox is closed.
    pub fn run(mut self) {
        loop {
            match self.inbox.next(self.deadline()) {
                Next::Closed => return,
                Next::Order(order) => self.set(order),
                Next::Events => self.gather(),
                Next::Mounts => self.remount(),
                Next::Time => {}
            }
            self.on_time();
            for message in self.cover.troubles() {
                self.send(Change::Degraded(message));
            }
            self.tell_more();
            self.polls.plan(self.cover.is_polled());
        }
    }

    /// The shortest quiet period of all services.
    fn quiet(&self) -> Duration {
        self.services.values().map(|(_, settle)| *settle).fold(SETTLE, Duration::min)
    }

    fn deadline(&self) -> Option<Instant> {
        let due = self.pending.due(self.quiet());
        [due, self.polls.at(), self.read_at, self.holds.due()].into_iter().flatten().min()
    }

    fn set(&mut self, order: Order) {
        self.services.clear();
        let mut kept: Vec<(WatchConfig, Id)> = Vec::new();
        let mut new = BTreeSet::new();
        for (name, watch) in order.services {
            let settle = watch.debounce;
            // The action and the quiet period do not affect the filter.
            let action = WatchAction::Restart { build: None };
            let watch = WatchConfig { debounce: Duration::ZERO, action, ..watch };
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
        self.waits.retain(|name| self.services.contains_key(name));
        self.polls.force(self.filters.iter().filter_map(|(watch, id)| Some((*id, watch.poll?))));
        if self.mounts.is_none() {
            self.mounts = system::follow_mounts(self.inbox.clone());
            self.cover.remount();
        }
        let late = self.files.set(&order.files, order.files_since, &mut self.cover);
        let mut changed = self.tree.walk(&new, Unknown::Old(order.services_since), &mut self.cover);
        changed.extend(self.arm(0));
        let starts = self.tree.starts();
        self.gits = starts.iter().filter_map(|start| git::git_folder(start)).collect();
        self.read_at = Some(Instant::now() + self.limits.read_after);
        self.tell(changed, Instant::now());
        late.into_iter().chain(self.tree.take_late()).for_each(|path| self.inbox.found(path));
    }

    /// Returns whether git is busy; `false` once the maximum wait is over.
    fn git_works(&mut self) -> bool {
        if !self.gits.iter().any(|git| git::is_at_work(git)) {
            self.git_since = None;
            return false;
        }
        self.git_since.get_or_insert_with(Instant::now).elapsed() < git::WORK_MAX
    }

    /// Moves events that matter into the debouncer.
    fn gather(&mut self) {
        let (tree, files, cover, awaited) = (&self.tree, &self.files, &self.cover, &self.awaited);
        self.pending.add(self.inbox.take(), |path, touch| {
            let about_file = files.concerns(path).then(|| files.step(path, touch));
            // A watch may be dead, or a missing directory may have appeared.
            let structure = || touch.is_structural() && (cover.holds(path) || is_in(awaited, path));
            let step = tree.step(path, touch).into_iter().chain(about_file).max();
            step.or_else(|| structure().then_some(Step::Part))
        });
    }

    /// Compares everything below paths where something was mounted or unmounted.
    fn remount(&mut self) {
        for place in self.cover.remount() {
            let below = |folder: &&PathBuf| folder.starts_with(&place);
            let tops = self.tree.tops_below(&place).into_iter();
            let others = self.files.folders().iter().chain(&self.awaited).filter(below).cloned();
            let absent = self.tree.absent().into_iter().filter(|start| start.starts_with(&place));
            let all: BTreeSet<PathBuf> = tops.chain(others).chain(absent).collect();
            all.into_iter().for_each(|folder| self.inbox.replaced(folder));
        }
    }

    fn examine(&mut self) {
        let due = self.pending.take(self.quiet(), Instant::now());
        let mut config = BTreeSet::new();
        let about_files = due.paths.keys().any(|path| self.files.concerns(path));
        let mut changed = self.compare(&due);
        if due.everywhere || about_files {
            config = self.files.compare();
        }
        self.tree.relink(&mut self.cover);
        // A write alone neither adds nor removes directories.
        if due.everywhere || due.paths.values().any(|touch| touch.is_structural()) {
            config.extend(self.files.arm(&mut self.cover));
            changed.extend(self.arm(u64::MAX));
        }
        changed.extend(self.tree.refresh(file_time(), &mut self.cover));
        self.tree.take_late().into_iter().for_each(|path| self.inbox.found(path));
        if !changed.is_empty() || !config.is_empty() {
            let only = (due.paths.len() == 1).then(|| due.paths.into_keys().next()).flatten();
            self.pending.told(Instant::now(), only);
        }
        self.tell(changed, due.last);
        self.tell_config(config);
    }

    fn compare(&mut self, due: &Due) -> Vec<Changed> {
        let mut changed = Vec::new();
        if due.everywhere {
            self.cover.renew();
            changed = self.tree.resync_all(0, &mut self.cover);
        }
        for (path, touch) in &due.paths {
            if touch.lost {
                self.cover.forget(path);
            }
            self.tree.look(path, *touch, &mut self.cover, &mut changed);
        }
        changed
    }

    /// Walks missing directories that have appeared, and watches the nearest existing ones for the
    /// others.
    fn arm(&mut self, order: u64) -> Vec<Changed> {
        let mut changed = Vec::new();
        for _ in 0..ROUNDS_MAX {
            let absent = self.tree.absent();
            if absent.iter().any(|start| start.is_dir()) {
                let all = self.filters.iter().map(|(_, id)| *id).collect();
                changed.extend(self.tree.walk(&all, Unknown::New(order), &mut self.cover));
            }
            self.tree.arm_links(&mut self.cover);
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
        let absent = self.services.iter().map(|(name, (id, _))| (name, self.tree.absent_of(*id)));
        for message in self.waits.news(absent) {
            self.send(Change::Degraded(message));
        }
        changed
    }

    fn on_time(&mut self) {
        let now = Instant::now();
        if self.pending.due(self.quiet()).is_some_and(|due| due <= now) {
            if self.git_works() {
                self.inbox.pause(GIT_PAUSE);
            } else {
                self.examine();
            }
        }
        if self.polls.at().is_some_and(|at| at <= now) {
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

    /// Compares what sends no events. Differences are treated like events.
    fn poll(&mut self) {
        let begin = Instant::now();
        self.cover.retry();
        let mut folders = self.cover.polled();
        folders.extend(self.tree.folders_of(&self.polls.forced()));
        let differing = folders.iter().flat_map(|folder| self.tree.glance(folder));
        let absent = self.tree.absent().into_iter().filter(|start| start.is_dir());
        let all: BTreeSet<PathBuf> = differing.chain(self.files.glance()).chain(absent).collect();
        all.into_iter().for_each(|path| self.inbox.found(path));
        self.polls.done(begin);
    }

    fn read_some(&mut self) {
        let read = if self.read < READ_MAX { self.tree.read_some() } else { None };
        self.read += read.unwrap_or_default();
        self.read_at = read.map(|_| Instant::now() + READ_PAUSE);
    }

    /// Reports files to the services that want them, or delays the report for a longer quiet
    /// period.
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
            // What has settled is good enough unless the service asks for a longer quiet period.
            if *settle <= SETTLE || last + *settle <= now {
                ready.insert(name.clone(), first.path.clone());
            } else {
                self.holds.add(name.clone(), first.path.clone(), last, *settle);
            }
        }
        if !ready.is_empty() {
            self.send(Change::Services(ready));
        }
    }

    /// Returns whether this file counts beyond being configuration. A service that watches a whole
    /// directory does not mean the configuration files in it: a reload decides on its own what they
    /// restart.
    fn is_source(&self, path: &Path, id: Id) -> bool {
        let names =
            |watch: &WatchConfig| watch.include.iter().any(|glob| watch.root.join(glob) == path);
        !self.files.holds(path)
            || self.filters.iter().any(|(watch, other)| *other == id && names(watch))
    }

    fn tell_more(&mut self) {
        let more = self.pending.is_more(Instant::now());
        if more != self.more {
            self.more = more;
            self.send(Change::More(more));
        }
    }

    fn tell_config(&self, changed: BTreeSet<PathBuf>) {
        if !changed.is_empty() {
            self.send(Change::Config(changed));
        }
    }

    fn send(&self, change: Change) {
        // Without a receiver the stack is shutting down, and the inbox will be closed.
        let _ = self.changes.send(change);
    }
}

/// Returns whether `path` can be a missing directory, or lead to one.
fn is_in(folders: &BTreeSet<PathBuf>, path: &Path) -> bool {
    path.parent().is_some_and(|parent| folders.contains(parent))
}
