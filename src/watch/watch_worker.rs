use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::WatchReport;
use super::events::{
    Debouncer, DelayedChanges, EventInbox, SETTLE, SaveStage, SettledEvents, WatchTargets, WorkItem,
};
use super::filter::{WatchFilter, git};
use super::missing_paths::MissingPaths;
use super::output_files::OutputFiles;
use super::poll_schedule::PollSchedule;
use super::tree::{ChangedFile, FileTree, FilterId, UnknownFile};
use super::watch_set::{WatchReason, WatchSet};
use super::watched_files::{ROUNDS_MAX, WatchedFiles, nearest_dir};
use crate::model::{WatchAction, WatchConfig, WatchId};
use crate::sys::file_clock::file_time_now;

use crate::sys::mounts;

/// Maximum bytes read to hash files in advance. Beyond it, the first save of a file counts even if
/// it changes nothing.
const MAX_HASHED: u64 = 256 << 20;

/// How often to check git while it is busy.
const GIT_PAUSE: Duration = Duration::from_millis(5);

/// The watching thread: its state and its loop.
pub(super) struct WatchWorker {
    inbox: Arc<EventInbox>,
    changes: mpsc::UnboundedSender<WatchReport>,
    cover: WatchSet,
    tree: FileTree,
    files: WatchedFiles,
    /// Services with equal `watch` share a filter.
    filters: Vec<(WatchConfig, FilterId)>,
    next_id: FilterId,
    services: BTreeMap<WatchId, (FilterId, Duration)>,
    pending: Debouncer,
    delayed: DelayedChanges,
    /// Whether it was reported that more files are changing.
    more: bool,
    /// Directories watched because a missing one will appear below.
    missing_dirs: BTreeSet<PathBuf>,
    waits: MissingPaths,
    /// Git directories of the repositories with watched files.
    git_dirs: BTreeSet<PathBuf>,
    git_since: Option<Instant>,
    polls: PollSchedule,
    /// Keeps the thread alive that reports mount changes.
    mounts: Option<OwnedFd>,
    /// Whether files are still to be hashed; events come first.
    reading: bool,
    read: u64,
}

impl WatchWorker {
    pub fn new(
        inbox: Arc<EventInbox>,
        changes: mpsc::UnboundedSender<WatchReport>,
        max_dirs: usize,
        output: OutputFiles,
    ) -> WatchWorker {
        WatchWorker {
            cover: WatchSet::new(inbox.clone(), max_dirs),
            inbox,
            changes,
            tree: FileTree::without(output),
            files: WatchedFiles::default(),
            filters: Vec::new(),
            next_id: 0,
            services: BTreeMap::new(),
            pending: Debouncer::default(),
            delayed: DelayedChanges::default(),
            more: false,
            missing_dirs: BTreeSet::new(),
            waits: MissingPaths::default(),
            git_dirs: BTreeSet::new(),
            git_since: None,
            polls: PollSchedule::default(),
            mounts: None,
            reading: false,
            read: 0,
        }
    }

    pub fn run(mut self) {
        loop {
            match self.inbox.next(self.deadline()) {
                WorkItem::Closed => return,
                WorkItem::Watch(targets) => self.set(targets),
                WorkItem::Events => self.take_events(),
                WorkItem::Mounts => self.remount(),
                WorkItem::Time => {}
            }
            self.on_time();
            for message in self.cover.take_warnings() {
                self.send(WatchReport::Degraded(message));
            }
            self.report_still_changing();
            self.polls.plan(self.cover.is_polled());
        }
    }

    /// The shortest quiet period of all services.
    fn shortest_settle(&self) -> Duration {
        self.services.values().map(|(_, settle)| *settle).fold(SETTLE, Duration::min)
    }

    fn deadline(&self) -> Option<Instant> {
        let due = self.pending.due(self.shortest_settle());
        let read = self.reading.then(Instant::now);
        [due, self.polls.at(), read, self.delayed.due()].into_iter().flatten().min()
    }

    fn set(&mut self, order: WatchTargets) {
        self.services.clear();
        let mut kept: Vec<(WatchConfig, FilterId)> = Vec::new();
        let mut new = BTreeSet::new();
        for (name, watch) in order.services {
            let settle = watch.debounce;
            // The action and the quiet period do not affect the filter.
            let action = WatchAction::Restart { build: None };
            let watch = WatchConfig { debounce: Duration::ZERO, action, ..watch };
            let known = kept.iter().chain(&self.filters).find(|(known, _)| *known == watch);
            let id = known.map(|(_, id)| *id).unwrap_or_else(|| {
                self.next_id += 1;
                self.tree.add(self.next_id, WatchFilter::new(&watch, &watch.root));
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
        self.delayed.retain(|name| self.services.contains_key(name));
        self.waits.retain(|name| self.services.contains_key(name));
        self.polls
            .set_configured(self.filters.iter().filter_map(|(watch, id)| Some((*id, watch.poll?))));
        if self.mounts.is_none() {
            let inbox = self.inbox.clone();
            self.mounts = mounts::watch_mounts(move || inbox.mounted());
            self.cover.reload_mounts();
        }
        let late = self.files.set(&order.files, order.files_since, &mut self.cover);
        self.tree.walk(&new, UnknownFile::Old(order.services_since), &mut self.cover);
        self.watch_missing(0);
        let starts = self.tree.starts();
        self.git_dirs = starts.iter().filter_map(|start| git::git_dir(start)).collect();
        // At once: the first save may come at any time, and then the bytes before it are gone.
        self.reading = true;
        let changed = self.tree.take_changed();
        self.report_changes(changed, Instant::now());
        late.into_iter().chain(self.tree.take_late()).for_each(|path| self.inbox.push_found(path));
    }

    /// Returns whether git is busy; `false` once the maximum wait is over.
    fn git_works(&mut self) -> bool {
        if !self.git_dirs.iter().any(|git| git::is_busy(git)) {
            self.git_since = None;
            return false;
        }
        self.git_since.get_or_insert_with(Instant::now).elapsed() < git::MAX_BUSY
    }

    /// Moves events that matter into the debouncer.
    fn take_events(&mut self) {
        let (tree, files, cover, awaited) =
            (&self.tree, &self.files, &self.cover, &self.missing_dirs);
        self.pending.add(self.inbox.take(), |path, touch| {
            let about_file = files.may_concern(path).then(|| files.step(path, touch));
            // A watch may be dead, or a missing directory may have appeared.
            let structure =
                || touch.is_create_or_remove() && (cover.holds(path) || is_in(awaited, path));
            let step = tree.save_stage(path, touch).into_iter().chain(about_file).max();
            step.or_else(|| structure().then_some(SaveStage::Partial))
        });
    }

    /// Compares everything below paths where something was mounted or unmounted.
    fn remount(&mut self) {
        for place in self.cover.reload_mounts() {
            let below = |dir: &&PathBuf| dir.starts_with(&place);
            let tops = self.tree.tops_below(&place).into_iter();
            let others = self.files.dirs().iter().chain(&self.missing_dirs).filter(below).cloned();
            let absent = self.tree.absent().into_iter().filter(|start| start.starts_with(&place));
            let all: BTreeSet<PathBuf> = tops.chain(others).chain(absent).collect();
            all.into_iter().for_each(|dir| self.inbox.push_replaced(dir));
        }
    }

    fn process_settled(&mut self) {
        let due = self.pending.take(self.shortest_settle(), Instant::now());
        let mut config = BTreeSet::new();
        let about_files = due.paths.keys().any(|path| self.files.may_concern(path));
        self.compare(&due);
        if due.everywhere || about_files {
            config = self.files.compare();
        }
        self.tree.relink(&mut self.cover);
        // A write alone neither adds nor removes directories.
        if due.everywhere || due.paths.values().any(|touch| touch.is_create_or_remove()) {
            config.extend(self.files.watch_parents(&mut self.cover));
            self.watch_missing(u64::MAX);
        }
        self.tree.refresh(file_time_now(), &mut self.cover);
        let changed = self.tree.take_changed();
        self.tree.take_late().into_iter().for_each(|path| self.inbox.push_found(path));
        if !changed.is_empty() || !config.is_empty() {
            let only = (due.paths.len() == 1).then(|| due.paths.into_keys().next()).flatten();
            self.pending.reported(Instant::now(), only);
        }
        // First, so that what the same save means for services follows the new configuration.
        self.report_config(config);
        self.report_changes(changed, due.last);
    }

    fn compare(&mut self, due: &SettledEvents) {
        if due.everywhere {
            self.cover.renew();
            self.tree.resync_all(0, &mut self.cover);
        }
        for (path, touch) in &due.paths {
            if touch.lost {
                self.cover.forget(path);
            }
            self.tree.compare_path(path, *touch, &mut self.cover);
        }
    }

    /// Walks missing directories that have appeared, and watches the nearest existing ones for the
    /// others.
    fn watch_missing(&mut self, order: u64) {
        for _ in 0..ROUNDS_MAX {
            let absent = self.tree.absent();
            if absent.iter().any(|start| start.is_dir()) {
                let all = self.filters.iter().map(|(_, id)| *id).collect();
                self.tree.walk(&all, UnknownFile::New(order), &mut self.cover);
            }
            self.tree.watch_links(&mut self.cover);
            let absent = self.tree.absent();
            let need: BTreeSet<PathBuf> =
                absent.iter().filter_map(|start| nearest_dir(start.parent()?)).collect();
            if !self.cover.set_watched(&mut self.missing_dirs, need, WatchReason::Await) {
                break;
            }
        }
        let optional = |id| self.filters.iter().any(|(watch, own)| *own == id && watch.optional);
        let required = self.services.iter().filter(|(_, (id, _))| !optional(*id));
        let required = required.filter(|(_, (id, _))| has_root(&self.filters, *id));
        let absent = required.map(|(name, (id, _))| (name, self.tree.absent_of(*id)));
        for message in self.waits.new_warnings(absent) {
            self.send(WatchReport::Degraded(message));
        }
    }

    fn on_time(&mut self) {
        let now = Instant::now();
        if self.pending.due(self.shortest_settle()).is_some_and(|due| due <= now) {
            if self.git_works() {
                self.inbox.pause(GIT_PAUSE);
            } else {
                self.process_settled();
            }
        }
        if self.polls.at().is_some_and(|at| at <= now) {
            self.poll();
        }
        if self.reading {
            self.hash_some();
        }
        let due = self.delayed.take(now);
        if !due.is_empty() {
            self.send(WatchReport::Services(due));
        }
    }

    /// Compares what sends no events. Differences are treated like events.
    fn poll(&mut self) {
        let begin = Instant::now();
        self.cover.retry();
        let mut dirs = self.cover.polled();
        dirs.extend(self.tree.dirs_of(&self.polls.forced()));
        let differing = dirs.iter().flat_map(|dir| self.tree.changed_stat(dir));
        let absent = self.tree.absent().into_iter().filter(|start| start.is_dir());
        let all: BTreeSet<PathBuf> =
            differing.chain(self.files.changed_stat()).chain(absent).collect();
        all.into_iter().for_each(|path| self.inbox.push_found(path));
        self.polls.done(begin);
    }

    fn hash_some(&mut self) {
        let read = if self.read < MAX_HASHED { self.tree.hash_some() } else { None };
        self.read += read.unwrap_or_default();
        self.reading = read.is_some();
    }

    /// Reports files to the services that want them, or delays the report for a longer quiet
    /// period.
    fn report_changes(&mut self, mut changed: Vec<ChangedFile>, last: Instant) {
        changed.sort_by_key(|changed| changed.order);
        let now = Instant::now();
        let mut ready = BTreeMap::new();
        for (name, (id, settle)) in &self.services {
            let wanted = |changed: &&ChangedFile| {
                changed.ids.contains(id) && self.is_source(&changed.path, *id)
            };
            let Some(first) = changed.iter().find(wanted).filter(|_| has_root(&self.filters, *id))
            else {
                continue;
            };
            // What has settled is good enough unless the service asks for a longer quiet period. A
            // configuration file is applied now anyway.
            let configures = self.files.holds(&first.path);
            if *settle <= SETTLE || last + *settle <= now || configures {
                ready.insert(name.clone(), first.path.clone());
            } else {
                self.delayed.add(name.clone(), first.path.clone(), last, *settle);
            }
        }
        if !ready.is_empty() {
            self.send(WatchReport::Services(ready));
        }
    }

    /// Returns whether this file counts beyond being configuration. A service that watches a whole
    /// directory does not mean the configuration files in it: a reload decides on its own what they
    /// restart.
    fn is_source(&self, path: &Path, id: FilterId) -> bool {
        let names =
            |watch: &WatchConfig| watch.include.iter().any(|glob| watch.root.join(glob) == path);
        !self.files.holds(path)
            || self.filters.iter().any(|(watch, other)| *other == id && names(watch))
    }

    fn report_still_changing(&mut self) {
        let more = self.pending.is_still_changing(Instant::now());
        if more != self.more {
            self.more = more;
            self.send(WatchReport::StillChanging(more));
        }
    }

    fn report_config(&self, changed: BTreeSet<PathBuf>) {
        if !changed.is_empty() {
            self.send(WatchReport::Config(changed));
        }
    }

    fn send(&self, change: WatchReport) {
        // Without a receiver the stack is shutting down, and the inbox will be closed.
        let _ = self.changes.send(change);
    }
}

/// Whether the directory still exists where the service runs. If it was moved or deleted, a restart
/// would stop what cannot start again.
fn has_root(filters: &[(WatchConfig, FilterId)], id: FilterId) -> bool {
    filters.iter().any(|(watch, own)| *own == id && watch.root.is_dir())
}

/// Returns whether `path` can be a missing directory, or lead to one.
fn is_in(dirs: &BTreeSet<PathBuf>, path: &Path) -> bool {
    path.parent().is_some_and(|parent| dirs.contains(parent))
}
