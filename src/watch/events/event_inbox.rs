use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use notify::event::{CreateKind, Event, EventKind, RemoveKind};

use super::path_event::{PathEvent, is_irrelevant};
use super::quiet_period::EventWindow;
use crate::model::{WatchConfig, WatchId};
use crate::sync::lock_unpoisoned;
use crate::sys::file_clock::FileTime;

/// Maximum number of paths in a batch. Beyond it they are dropped and everything is compared, as
/// the kernel does with its own queue of the same length.
pub(super) const MAX_PATHS: usize = 16_384;

/// Bounded queue to the worker thread, from notify's event thread and from [`Watcher`](crate::watch::Watcher).
#[derive(Default)]
pub(crate) struct EventInbox {
    state: Mutex<InboxState>,
    news: Condvar,
}

#[derive(Default)]
struct InboxState {
    /// Only the latest counts.
    targets: Option<WatchTargets>,
    paths: HashMap<PathBuf, PathEvent>,
    /// Paths were dropped.
    overflow: bool,
    /// The mount table has changed.
    mounts: bool,
    window: Option<EventWindow>,
    next: u64,
    closed: bool,
    #[cfg(test)]
    gate: super::test_gate::TestGate,
}

/// What to watch from now on.
pub(crate) struct WatchTargets {
    pub services: BTreeMap<WatchId, WatchConfig>,
    pub files: BTreeSet<PathBuf>,
    /// A service's file modified after this time has changed when the walk finds it.
    pub services_since: FileTime,
    /// The same for single files.
    pub files_since: FileTime,
}

/// Events taken at once.
#[derive(Debug, Default)]
pub(crate) struct EventBatch {
    pub paths: HashMap<PathBuf, PathEvent>,
    /// Events were lost: compare everything and trust no watch.
    pub everywhere: bool,
    pub window: Option<EventWindow>,
}

/// What the worker thread does next.
pub(crate) enum WorkItem {
    Watch(WatchTargets),
    /// Take events with [`EventInbox::take`].
    Events,
    /// The mount table has changed.
    Mounts,
    Time,
    Closed,
}

impl EventInbox {
    fn state(&self) -> MutexGuard<'_, InboxState> {
        lock_unpoisoned(&self.state)
    }

    pub fn set_targets(&self, mut targets: WatchTargets) {
        let mut state = self.state();
        if let Some(unread) = state.targets.take() {
            targets.services_since = targets.services_since.min(unread.services_since);
            targets.files_since = targets.files_since.min(unread.files_since);
        }
        state.targets = Some(targets);
        drop(state);
        self.news.notify_all();
    }

    pub fn close(&self) {
        self.state().closed = true;
        self.news.notify_all();
    }

    /// Notes that something was mounted or unmounted.
    pub fn mounted(&self) {
        self.state().mounts = true;
        self.news.notify_all();
    }

    /// Queues an event of the system.
    pub fn push(&self, event: notify::Result<Event>) {
        match event {
            Ok(event) if event.need_rescan() => self.overflow(),
            Ok(event) => self.touch(event),
            Err(error) => tracing::debug!(%error, "file events"),
        }
    }

    /// Queues a file that a walk or poll found newly written. It settles like a reported one,
    /// because its writer may not have finished.
    pub fn push_found(&self, path: PathBuf) {
        let made = EventKind::Create(CreateKind::File);
        self.touch(Event::new(made).add_path(path));
    }

    /// Queues that another directory has replaced this one, for example by a mount.
    pub fn push_replaced(&self, path: PathBuf) {
        let gone = EventKind::Remove(RemoveKind::Other);
        self.touch(Event::new(gone).add_path(path));
    }

    fn overflow(&self) {
        let mut state = self.state();
        state.paths.clear();
        state.overflow = true;
        state.stamp();
        drop(state);
        self.news.notify_all();
    }

    fn touch(&self, event: Event) {
        if is_irrelevant(event.kind) {
            return;
        }
        let mut state = self.state();
        for path in &event.paths {
            state.touch(path, &event);
        }
        state.stamp();
        // Unlock first, so that the woken thread does not block.
        drop(state);
        self.news.notify_all();
    }

    /// Waits for the next work item: targets first, then mounts, events and the time.
    pub fn next(&self, time: Option<Instant>) -> WorkItem {
        let mut state = self.state();
        loop {
            if state.closed {
                return WorkItem::Closed;
            }
            if let Some(targets) = state.targets.take() {
                return WorkItem::Watch(targets);
            }
            if std::mem::take(&mut state.mounts) {
                return WorkItem::Mounts;
            }
            if state.window.is_some() && !state.is_shut() {
                return WorkItem::Events;
            }
            let now = Instant::now();
            state = match time {
                Some(time) if time <= now => return WorkItem::Time,
                Some(time) => {
                    let wait = self.news.wait_timeout(state, time - now);
                    wait.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.news.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Sleeps; closing the inbox cuts it short.
    pub fn pause(&self, time: Duration) {
        #[cfg(test)]
        self.paused();
        let pause = self.news.wait_timeout_while(self.state(), time, |state| !state.closed);
        drop(pause.unwrap_or_else(PoisonError::into_inner));
    }

    pub fn take(&self) -> EventBatch {
        let mut state = self.state();
        EventBatch {
            paths: std::mem::take(&mut state.paths),
            everywhere: std::mem::take(&mut state.overflow),
            window: state.window.take(),
        }
    }
}

impl InboxState {
    fn touch(&mut self, path: &PathBuf, event: &Event) {
        if self.overflow {
            return;
        }
        let touch = PathEvent::of(self.next, event);
        self.next += 1;
        match self.paths.get_mut(path) {
            Some(before) => *before = before.merge(touch),
            None => drop(self.paths.insert(path.clone(), touch)),
        }
        if self.paths.len() > MAX_PATHS {
            self.paths.clear();
            self.overflow = true;
        }
    }

    fn stamp(&mut self) {
        let now = Instant::now();
        let first = self.window.map_or(now, |window| window.first);
        self.window = Some(EventWindow { first, last: now });
    }

    fn is_shut(&self) -> bool {
        #[cfg(test)]
        return self.gate.shut;
        #[cfg(not(test))]
        false
    }
}

/// Lets tests instead of the clock decide which events belong together.
#[cfg(test)]
impl EventInbox {
    /// Holds back events from now on.
    pub fn shut(&self) {
        self.state().gate.shut = true;
    }

    /// Releases the events held back.
    pub fn open(&self) {
        self.state().gate.shut = false;
        self.news.notify_all();
    }

    /// Waits for an event about this path, and thus for all earlier ones.
    pub fn wait_touched(&self, path: &std::path::Path) {
        self.wait_until("an event", |state| state.paths.contains_key(path));
    }

    /// Waits until the worker thread pauses, for the first time since the last call.
    pub fn wait_paused(&self) {
        self.wait_until("a pause", |state| std::mem::take(&mut state.gate.paused));
    }

    fn paused(&self) {
        self.state().gate.paused = true;
        self.news.notify_all();
    }

    fn wait_until(&self, what: &str, mut holds: impl FnMut(&mut InboxState) -> bool) {
        let wait =
            self.news.wait_timeout_while(self.state(), crate::watch::tests::DEADLINE, |state| {
                !holds(state)
            });
        let (_state, wait) = wait.unwrap_or_else(PoisonError::into_inner);
        assert!(!wait.timed_out(), "{what} within the deadline");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_paths_become_one_look_everywhere() {
        let inbox = EventInbox::default();
        for number in 0..MAX_PATHS + 10 {
            let path = PathBuf::from(format!("/x/{number}"));
            inbox.push(Ok(Event::new(EventKind::Any).add_path(path)));
        }
        let batch = inbox.take();
        assert!(batch.everywhere);
        assert!(batch.paths.is_empty());
        assert!(!inbox.take().everywhere, "reported once");
    }

    #[test]
    fn an_order_goes_before_events_and_the_end_before_all() {
        let inbox = EventInbox::default();
        inbox.push(Ok(Event::new(EventKind::Any).add_path("/x".into())));
        let (services_since, files_since) = ((0, 0), (0, 0));
        let (services, files) = (BTreeMap::new(), BTreeSet::new());
        inbox.set_targets(WatchTargets { services, files, services_since, files_since });
        inbox.mounted();
        assert!(matches!(inbox.next(None), WorkItem::Watch(_)));
        assert!(matches!(inbox.next(None), WorkItem::Mounts));
        assert!(matches!(inbox.next(Some(Instant::now())), WorkItem::Events));
        assert_eq!(inbox.take().paths.len(), 1);
        assert!(matches!(inbox.next(Some(Instant::now())), WorkItem::Time));
        inbox.close();
        assert!(matches!(inbox.next(None), WorkItem::Closed));
    }
}
