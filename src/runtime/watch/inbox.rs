use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, CreateKind, Event, EventKind, ModifyKind, RenameMode};

use super::clock::FileTime;
use super::settle::Settle;
use crate::model::{Watch, Watched};

/// More paths than this in one batch are forgotten and everything is looked at instead, as the kernel does
/// with its own queue of the same length.
const PATHS_MAX: usize = 16_384;

/// What the watching thread is told, from the event thread and from [`super::Watcher`].
#[derive(Default)]
pub(super) struct Inbox {
    state: Mutex<State>,
    news: Condvar,
}

#[derive(Default)]
struct State {
    /// Only the latest counts.
    order: Option<Order>,
    paths: HashMap<PathBuf, Touch>,
    /// Paths were forgotten.
    overflow: bool,
    settle: Option<Settle>,
    next: u64,
    closed: bool,
    #[cfg(test)]
    gate: super::gate::Gate,
}

/// What is to be watched from now on.
pub(super) struct Order {
    pub services: BTreeMap<Watched, Watch>,
    pub files: BTreeSet<PathBuf>,
    /// A file of a service that was written after this and is found by the walk has changed.
    pub services_since: FileTime,
    /// The same for single files.
    pub files_since: FileTime,
}

/// What events said about a path.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Touch {
    /// The place of the first event among all.
    pub order: u64,
    /// What was there is gone or elsewhere, whatever is there now; a watch on it is dead.
    pub lost: bool,
    /// Somebody writes and has not closed it.
    writing: bool,
    was: Was,
}

/// What became of a path since the first of its events. A file that came or went is often half of a save: the
/// new file that will be renamed over the old, or the old that was moved away for the new.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Was {
    /// It is there as before, or was replaced in one step.
    #[default]
    There,
    /// It was moved here, perhaps over another.
    Moved,
    /// It was made.
    Made,
    /// It went.
    Lost,
    /// It came and went, or the other way round: nothing is open.
    Back,
}

impl Was {
    fn then(self, kind: EventKind) -> Was {
        match (kind, self) {
            (EventKind::Create(_), Was::There | Was::Made) => Was::Made,
            (EventKind::Modify(ModifyKind::Name(RenameMode::To)), Was::There) => Was::Moved,
            (EventKind::Create(_) | EventKind::Modify(ModifyKind::Name(RenameMode::To)), _) => {
                Was::Back
            }
            (kind, Was::There | Was::Lost) if is_loss(kind) => Was::Lost,
            (kind, _) if is_loss(kind) => Was::Back,
            _ => self,
        }
    }
}

impl Touch {
    /// Whether more is likely to follow soon.
    fn is_open(self) -> bool {
        self.writing || matches!(self.was, Was::Made | Was::Lost)
    }
}

/// Paths to look at.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Folders before what is in them.
    pub paths: BTreeMap<PathBuf, Touch>,
    /// Look everywhere, and trust no watch.
    pub everywhere: bool,
    /// When the last event of it came.
    pub last: Option<Instant>,
}

/// What the watching thread has to do next.
pub(super) enum Next {
    Order(Order),
    /// Events came and have settled: [`Inbox::take`] gives them.
    Settled,
    /// The time that was asked for has come.
    Time,
    Closed,
}

impl Inbox {
    fn state(&self) -> MutexGuard<'_, State> {
        // Every change of the state is complete in itself, so a panic elsewhere leaves it usable.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn order(&self, mut order: Order) {
        let mut state = self.state();
        if let Some(unread) = state.order.take() {
            order.services_since = order.services_since.min(unread.services_since);
            order.files_since = order.files_since.min(unread.files_since);
        }
        state.order = Some(order);
        drop(state);
        self.news.notify_all();
    }

    pub fn close(&self) {
        self.state().closed = true;
        self.news.notify_all();
    }

    /// Takes in what the system reported.
    pub fn event(&self, event: notify::Result<Event>) {
        match event {
            Ok(event) if event.need_rescan() => self.overflow(),
            Ok(event) => self.touch(event),
            Err(error) => tracing::debug!(%error, "file events"),
        }
    }

    /// Takes in a file that was found newly written. It settles like one that the system reported, because whoever
    /// wrote it may not have finished.
    pub fn found(&self, path: PathBuf) {
        let made = EventKind::Create(CreateKind::File);
        self.touch(Event::new(made).add_path(path));
    }

    fn overflow(&self) {
        let mut state = self.state();
        state.paths.clear();
        state.overflow = true;
        state.stamp();
        self.news.notify_all();
    }

    fn touch(&self, event: Event) {
        // A rename within what is watched is told a third time, with both names.
        if event.kind == EventKind::Modify(ModifyKind::Name(RenameMode::Both)) {
            return;
        }
        let mut state = self.state();
        for path in event.paths {
            state.touch(path, event.kind);
        }
        state.stamp();
        self.news.notify_all();
    }

    /// Waits for the next thing to do: orders first, then settled events, then the time.
    pub fn next(&self, quiet: Duration, time: Option<Instant>) -> Next {
        let mut state = self.state();
        loop {
            if state.closed {
                return Next::Closed;
            }
            if let Some(order) = state.order.take() {
                return Next::Order(order);
            }
            let now = Instant::now();
            let due = state.due(quiet);
            if due.is_some_and(|due| due <= now) {
                return Next::Settled;
            }
            if time.is_some_and(|time| time <= now) {
                return Next::Time;
            }
            state = match due.into_iter().chain(time).min() {
                Some(wake) => {
                    let wait = self.news.wait_timeout(state, wake - now);
                    wait.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.news.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Lets time pass; the end cuts it short.
    pub fn pause(&self, time: Duration) {
        #[cfg(test)]
        self.paused();
        let pause = self.news.wait_timeout_while(self.state(), time, |state| !state.closed);
        drop(pause.unwrap_or_else(PoisonError::into_inner));
    }

    /// The events so far.
    pub fn take(&self) -> Batch {
        let mut state = self.state();
        Batch {
            paths: std::mem::take(&mut state.paths).into_iter().collect(),
            everywhere: std::mem::take(&mut state.overflow),
            last: state.settle.take().map(|settle| settle.last),
        }
    }
}

impl State {
    fn touch(&mut self, path: PathBuf, kind: EventKind) {
        if self.overflow {
            return;
        }
        let order = self.next;
        self.next += 1;
        let touch = self.paths.entry(path).or_insert(Touch { order, ..Touch::default() });
        touch.lost |= is_loss(kind);
        // Only Linux tells the end of writing, and tells each step once and in order.
        if cfg!(target_os = "linux") {
            touch.writing = writes(kind).unwrap_or(touch.writing);
            touch.was = touch.was.then(kind);
        }
        if self.paths.len() > PATHS_MAX {
            self.paths.clear();
            self.overflow = true;
        }
    }

    fn stamp(&mut self) {
        let now = Instant::now();
        let first = self.settle.map_or(now, |settle| settle.first);
        self.settle = Some(Settle { first, last: now });
    }

    fn due(&self, quiet: Duration) -> Option<Instant> {
        #[cfg(test)]
        if self.gate.shut {
            return None;
        }
        // Looking for open ends in a burst would be wasted: it settles long anyway.
        let few = self.paths.len() <= super::settle::MANY;
        let open = few && self.paths.values().any(|touch| touch.is_open());
        let settle = self.settle?;
        Some(settle.due(quiet, self.paths.len(), open))
    }
}

/// Whether an event says that what was at its path is gone from there.
fn is_loss(kind: EventKind) -> bool {
    matches!(kind, EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(RenameMode::From)))
}

/// Whether an event says that somebody writes, or has finished.
fn writes(kind: EventKind) -> Option<bool> {
    match kind {
        EventKind::Modify(ModifyKind::Data(_)) => Some(true),
        EventKind::Access(AccessKind::Close(_)) => Some(false),
        kind if is_loss(kind) => Some(false),
        _ => None,
    }
}

/// What lets tests decide what belongs together, instead of the clock.
#[cfg(test)]
impl Inbox {
    /// From now on nothing settles.
    pub fn shut(&self) {
        self.state().gate.shut = true;
    }

    /// Settles again what has come.
    pub fn open(&self) {
        self.state().gate.shut = false;
        self.news.notify_all();
    }

    /// Waits until an event about this path came, and so all earlier ones.
    pub fn wait_touched(&self, path: &std::path::Path) {
        self.wait_until("an event", |state| state.paths.contains_key(path));
    }

    /// Waits until the watching thread lets time pass, for the first time since this was last asked.
    pub fn wait_paused(&self) {
        self.wait_until("a pause", |state| std::mem::take(&mut state.gate.paused));
    }

    fn paused(&self) {
        self.state().gate.paused = true;
        self.news.notify_all();
    }

    fn wait_until(&self, what: &str, mut holds: impl FnMut(&mut State) -> bool) {
        let wait = self
            .news
            .wait_timeout_while(self.state(), super::tests::DEADLINE, |state| !holds(state));
        let (_state, wait) = wait.unwrap_or_else(PoisonError::into_inner);
        assert!(!wait.timed_out(), "{what} within the deadline");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_paths_become_one_look_everywhere() {
        let inbox = Inbox::default();
        for number in 0..PATHS_MAX + 10 {
            let path = PathBuf::from(format!("/x/{number}"));
            inbox.event(Ok(Event::new(EventKind::Any).add_path(path)));
        }
        let batch = inbox.take();
        assert!(batch.everywhere);
        assert!(batch.paths.is_empty());
        assert!(!inbox.take().everywhere, "it is told once");
    }

    #[test]
    fn what_was_lost_stays_lost_within_a_batch() {
        let inbox = Inbox::default();
        let event = |kind| inbox.event(Ok(Event::new(kind).add_path("/x/a".into())));
        event(EventKind::Remove(notify::event::RemoveKind::Folder));
        event(EventKind::Create(notify::event::CreateKind::Folder));
        assert!(inbox.take().paths[&PathBuf::from("/x/a")].lost);
    }

    #[test]
    fn an_order_goes_before_events_and_the_end_before_all() {
        let inbox = Inbox::default();
        inbox.event(Ok(Event::new(EventKind::Any).add_path("/x".into())));
        let (services_since, files_since) = ((0, 0), (0, 0));
        let (services, files) = (BTreeMap::new(), BTreeSet::new());
        inbox.order(Order { services, files, services_since, files_since });
        assert!(matches!(inbox.next(Duration::ZERO, None), Next::Order(_)));
        assert!(matches!(inbox.next(Duration::ZERO, None), Next::Settled));
        inbox.take();
        assert!(matches!(inbox.next(Duration::ZERO, Some(Instant::now())), Next::Time));
        inbox.close();
        assert!(matches!(inbox.next(Duration::ZERO, None), Next::Closed));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn half_a_save_is_open_and_a_whole_one_is_not() {
        use notify::event::{AccessMode, DataChange, RemoveKind};
        let made = EventKind::Create(CreateKind::File);
        let wrote = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        let closed = EventKind::Access(AccessKind::Close(AccessMode::Write));
        let from = EventKind::Modify(ModifyKind::Name(RenameMode::From));
        let to = EventKind::Modify(ModifyKind::Name(RenameMode::To));
        let gone = EventKind::Remove(RemoveKind::File);
        let open = |events: &[(&str, EventKind)]| {
            let mut state = State::default();
            for (path, kind) in events {
                state.touch(path.into(), *kind);
            }
            state.paths.values().any(|touch| touch.is_open())
        };
        let in_place = [("a", wrote), ("a", closed)];
        let renamed = [("new", made), ("new", wrote), ("new", closed), ("new", from), ("a", to)];
        let moved_away =
            [("a", from), ("a~", to), ("a", made), ("a", wrote), ("a", closed), ("a~", gone)];
        for save in [&in_place[..], &renamed, &moved_away] {
            assert!(!open(save), "{save:?}");
            assert!(open(&save[..1]), "{save:?}");
        }
        assert!(open(&renamed[..3]), "a new file may be renamed soon");
        assert!(open(&[("a", gone)]), "a file that went may come back soon");
        assert!(!open(&[("a", gone), ("a", made)]));
    }
}
