use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::event_inbox::{EventBatch, MAX_PATHS};
use super::path_event::{PathChange, PathEvent};
use super::quiet_period::{BurstKind, EventWindow, MANY, SETTLE_CAP, SETTLE_CAP_MAX, SETTLE_MANY};
use crate::watch::tree::{Fingerprint, PathKind};

/// Maximum number of remembered files that stay open for writing; any further ones are waited for
/// each time.
const ENDLESS_MAX: usize = 1_000;

/// A restart is over by then, or so slow that a second one does not matter.
const RESTART_MAX: Duration = Duration::from_secs(10);

/// How far a save of a path has come, ordered by how much waiting it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SaveStage {
    /// A known file exists, has content, and its writer has finished.
    Complete,
    /// No more events are expected.
    Other,
    /// Created or removed: often half of a save.
    Partial,
    /// Open for writing, or emptied and still without new content.
    Writing,
}

/// Derives the stage of a save from the events of a file, its last fingerprint and its current
/// state. `None`: it neither existed nor exists.
pub(crate) fn save_stage(
    touch: PathEvent,
    before: Option<&Fingerprint>,
    now: PathKind,
) -> Option<SaveStage> {
    let came = matches!(touch.was, PathChange::Created | PathChange::Removed);
    match now {
        PathKind::Output => None,
        _ if touch.is_written() => Some(SaveStage::Writing),
        PathKind::Missing | PathKind::Special if before.is_none() && !came => None,
        PathKind::Missing | PathKind::Special => Some(SaveStage::Partial),
        _ if came => Some(SaveStage::Partial),
        PathKind::Dir => Some(SaveStage::Other),
        PathKind::File(mark) | PathKind::Link { mark, .. } => Some(match before {
            Some(before) if mark.len() == 0 && before.len() > 0 => SaveStage::Writing,
            // Other systems do not report that a writer has finished.
            Some(_) if cfg!(target_os = "linux") => SaveStage::Complete,
            Some(_) | None => SaveStage::Other,
        }),
    }
}

/// Events not yet processed, and when they settle.
#[derive(Debug, Default)]
pub(crate) struct Debouncer {
    paths: BTreeMap<PathBuf, (PathEvent, SaveStage)>,
    everywhere: bool,
    settle: Option<EventWindow>,
    last: Option<LastReport>,
    /// Number of consecutive bursts that were cut off.
    cut_bursts: u32,
    /// Files that their writers never close. Waited for once.
    never_closed: BTreeSet<PathBuf>,
}

/// The last reported change.
#[derive(Debug)]
struct LastReport {
    at: Instant,
    /// Its file, if it was a single one.
    path: Option<PathBuf>,
}

impl Debouncer {
    /// Adds events. `step` returns the stage of a path's save; `None`: the path does not matter.
    pub fn add(
        &mut self,
        batch: EventBatch,
        mut step: impl FnMut(&Path, PathEvent) -> Option<SaveStage>,
    ) {
        let Some(window) = batch.window else { return };
        let mut concerns = batch.everywhere;
        for (path, touch) in batch.paths {
            let touch = self.paths.get(&path).map_or(touch, |(before, _)| before.merge(touch));
            match step(&path, touch) {
                Some(step) => {
                    let step = self.limit_endless(&path, touch, step);
                    self.paths.insert(path, (touch, step));
                    concerns = true;
                }
                None => concerns |= self.paths.remove(&path).is_some(),
            }
        }
        if batch.everywhere || self.paths.len() > MAX_PATHS {
            self.everywhere = true;
            self.paths.clear();
        }
        if concerns {
            let first = self.settle.map_or(window.first, |settle| settle.first);
            self.settle = Some(EventWindow { first, last: window.last });
        }
        if self.paths.is_empty() && !self.everywhere {
            self.settle = None;
        }
    }

    /// A writer that did not finish once is not waited for again.
    fn limit_endless(&mut self, path: &Path, touch: PathEvent, step: SaveStage) -> SaveStage {
        if !touch.is_written() {
            self.never_closed.remove(path);
        }
        match step {
            SaveStage::Writing if self.never_closed.contains(path) => SaveStage::Partial,
            step @ (SaveStage::Complete
            | SaveStage::Other
            | SaveStage::Partial
            | SaveStage::Writing) => step,
        }
    }

    /// Returns when the events have settled. `quiet`: the quiet period of a single save.
    pub fn due(&self, quiet: Duration) -> Option<Instant> {
        let settle = self.settle?;
        let pace = self.burst_kind(settle);
        Some(settle.due(pace.quiet_period(quiet), self.cap().max(quiet)))
    }

    /// Returns whether more than the reported change is happening, for a service about to start
    /// because of it. A burst that was cut off is not waited for.
    pub fn is_still_changing(&self, now: Instant) -> bool {
        let reported = self.last.as_ref().is_some_and(|reported| now < reported.at + RESTART_MAX);
        reported
            && self.cut_bursts == 0
            && self.settle.is_some_and(|settle| self.burst_kind(settle) != BurstKind::One)
    }

    fn cap(&self) -> Duration {
        (SETTLE_CAP * 2_u32.pow(self.cut_bursts.min(4))).min(SETTLE_CAP_MAX)
    }

    fn burst_kind(&self, settle: EventWindow) -> BurstKind {
        if self.everywhere || self.paths.len() > MANY {
            return BurstKind::Burst;
        }
        let count = |wanted| self.paths.values().filter(|(_, step)| *step == wanted).count();
        if count(SaveStage::Writing) > 0 {
            return BurstKind::Open;
        }
        let only = self.paths.keys().next().filter(|_| self.paths.len() == 1);
        match &self.last {
            Some(reported) if settle.first < reported.at + SETTLE_MANY => {
                if only.is_some()
                    && reported.path.as_ref() == only
                    && count(SaveStage::Partial) == 0
                {
                    BurstKind::Save
                } else {
                    BurstKind::Burst
                }
            }
            Some(_) | None => match (count(SaveStage::Partial), count(SaveStage::Complete)) {
                (0, 1) if only.is_some() => BurstKind::One,
                (0, 0 | 1) => BurstKind::Save,
                (0, _) => BurstKind::Several,
                _ => BurstKind::Burst,
            },
        }
    }

    /// Takes what to compare, once it is due.
    pub fn take(&mut self, quiet: Duration, now: Instant) -> SettledEvents {
        let settle = self.settle.take();
        let ended = settle
            .is_none_or(|settle| settle.last + self.burst_kind(settle).quiet_period(quiet) <= now);
        self.cut_bursts = if ended { 0 } else { self.cut_bursts + 1 };
        let paths = std::mem::take(&mut self.paths);
        for (path, (touch, step)) in &paths {
            if *step == SaveStage::Writing
                && touch.is_written()
                && self.never_closed.len() < ENDLESS_MAX
            {
                self.never_closed.insert(path.clone());
            }
        }
        SettledEvents {
            paths: paths.into_iter().map(|(path, (touch, _))| (path, touch)).collect(),
            everywhere: std::mem::take(&mut self.everywhere),
            last: settle.map_or(now, |settle| settle.last),
        }
    }

    /// Notes that a change was reported: what follows soon belongs to it.
    pub fn reported(&mut self, at: Instant, path: Option<PathBuf>) {
        self.last = Some(LastReport { at, path });
    }
}

/// Paths to compare now.
#[derive(Debug)]
pub(crate) struct SettledEvents {
    /// Directories before their content.
    pub paths: BTreeMap<PathBuf, PathEvent>,
    /// Compare everything and trust no watch.
    pub everywhere: bool,
    pub last: Instant,
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use notify::event::{Event, EventKind};

    use super::*;
    use crate::watch::events::path_event::tests::{CLOSED, FROM, GONE, MADE, TO, WROTE};
    use crate::watch::events::quiet_period::{SETTLE, SETTLE_ONE, SETTLE_SEVERAL};

    /// Files by name with their content: as known, and as they are now.
    struct DebounceFixture {
        pending: Debouncer,
        known: BTreeMap<&'static str, &'static str>,
        now: BTreeMap<&'static str, &'static str>,
        start: Instant,
    }

    fn entry(text: Option<&&str>) -> PathKind {
        text.map_or(PathKind::Missing, |text| PathKind::File(mark(text)))
    }

    /// A fingerprint with the size of this text.
    fn mark(text: &str) -> Fingerprint {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a"), text).unwrap();
        Fingerprint::of(&std::fs::metadata(dir.path().join("a")).unwrap())
    }

    impl DebounceFixture {
        fn new(known: &[&'static str]) -> DebounceFixture {
            let known: BTreeMap<_, _> = known.iter().map(|name| (*name, "old")).collect();
            let now = known.clone();
            DebounceFixture { pending: Debouncer::default(), known, now, start: Instant::now() }
        }

        /// An event after `ms` milliseconds; the file then has this content, or does not exist.
        fn event(
            &mut self,
            ms: u64,
            name: &'static str,
            kind: EventKind,
            text: Option<&'static str>,
        ) {
            match text {
                Some(text) => drop(self.now.insert(name, text)),
                None => drop(self.now.remove(name)),
            }
            let at = self.start + Duration::from_millis(ms);
            let touch = PathEvent::of(ms, &Event::new(kind));
            let batch = EventBatch {
                paths: [(PathBuf::from(name), touch)].into(),
                everywhere: false,
                window: Some(EventWindow { first: at, last: at }),
            };
            let (known, now) = (&self.known, &self.now);
            self.pending.add(batch, |path, touch| {
                let name = path.to_str().unwrap();
                let before = known.get(name).map(|text| mark(text));
                save_stage(touch, before.as_ref(), entry(now.get(name)))
            });
        }

        /// How long after the start the events are due.
        fn due(&self) -> Option<Duration> {
            Some(self.pending.due(SETTLE)?.saturating_duration_since(self.start))
        }

        /// Reports what is due.
        fn tell(&mut self) -> SettledEvents {
            let at = self.pending.due(SETTLE).unwrap();
            let due = self.pending.take(SETTLE, at);
            let only = due.paths.keys().next().filter(|_| due.paths.len() == 1).cloned();
            self.pending.reported(at, only);
            self.known = self.now.clone();
            due
        }
    }

    fn at(ms: u64, pause: Duration) -> Option<Duration> {
        Some(Duration::from_millis(ms) + pause)
    }

    #[test]
    fn one_whole_save_after_quiet_is_due_at_once() {
        let mut save = DebounceFixture::new(&["a"]);
        save.event(0, "a", WROTE, Some(""));
        save.event(1, "a", WROTE, Some("new"));
        assert_eq!(save.due(), at(0, SETTLE_CAP), "still open");
        save.event(2, "a", CLOSED, Some("new"));
        assert_eq!(save.due(), at(2, SETTLE_ONE));

        let mut renamed = DebounceFixture::new(&["a"]);
        renamed.event(0, "tmp", MADE, Some(""));
        renamed.event(1, "tmp", WROTE, Some("new"));
        renamed.event(2, "tmp", CLOSED, Some("new"));
        assert_eq!(renamed.due(), at(2, SETTLE_MANY), "it may be renamed");
        renamed.event(3, "tmp", FROM, None);
        assert_eq!(renamed.due(), None, "neither exists nor existed");
        renamed.event(3, "a", TO, Some("new"));
        assert_eq!(renamed.due(), at(3, SETTLE_ONE));

        let mut vim = DebounceFixture::new(&["a"]);
        vim.event(0, "a", FROM, None);
        assert_eq!(vim.due(), at(0, SETTLE_MANY), "it may come back");
        vim.event(1, "a", MADE, Some(""));
        assert_eq!(vim.due(), at(0, SETTLE_CAP), "it has no content yet");
        vim.event(2, "a", WROTE, Some("new"));
        vim.event(9, "a", CLOSED, Some("new"));
        assert_eq!(vim.due(), at(9, SETTLE_ONE));
    }

    /// However far apart its steps are, a save must be one change.
    #[test]
    fn steps_far_apart_are_one_save() {
        let mut save = DebounceFixture::new(&["a"]);
        save.event(0, "a", WROTE, Some(""));
        save.event(1, "a", CLOSED, Some(""));
        assert_eq!(save.due(), at(0, SETTLE_CAP), "emptied");
        save.event(700, "a", WROTE, Some("new"));
        save.event(950, "a", CLOSED, Some("new"));
        assert_eq!(save.due(), at(950, SETTLE_ONE));
    }

    #[test]
    fn a_second_file_makes_it_a_burst() {
        let mut few = DebounceFixture::new(&["a", "b", "c"]);
        few.event(0, "a", CLOSED, Some("1"));
        few.event(0, "b", CLOSED, Some("2"));
        assert_eq!(few.due(), at(0, SETTLE_SEVERAL));
        few.tell();
        few.event(60, "c", CLOSED, Some("3"));
        assert_eq!(few.due(), at(60, SETTLE_MANY), "belongs to the change reported just before");
        assert!(few.pending.is_still_changing(few.start + Duration::from_millis(60)));
        few.tell();
        few.event(500, "c", CLOSED, Some("4"));
        assert_eq!(few.due(), at(500, SETTLE_ONE), "quiet again");
        assert!(!few.pending.is_still_changing(few.start + Duration::from_millis(500)));

        let mut many = DebounceFixture::new(&[]);
        let names: Vec<&str> = (0..=MANY).map(|n| &*n.to_string().leak()).collect();
        names.iter().for_each(|name| many.event(0, name, CLOSED, Some("x")));
        assert_eq!(many.due(), at(0, SETTLE_MANY));
    }

    #[test]
    fn the_same_file_again_is_soon_due() {
        let mut save = DebounceFixture::new(&["a"]);
        save.event(0, "a", CLOSED, Some("1"));
        save.tell();
        save.event(20, "a", CLOSED, Some("2"));
        assert_eq!(save.due(), at(20, SETTLE));
    }

    #[test]
    fn what_came_or_went_may_be_half_a_save() {
        let mut scene = DebounceFixture::new(&["a"]);
        scene.event(0, "a", GONE, None);
        assert_eq!(scene.due(), at(0, SETTLE_MANY));
        scene.tell();
        scene.event(1_000, "a", MADE, Some("x"));
        assert_eq!(scene.due(), at(1_000, SETTLE_MANY));
    }

    #[test]
    fn endless_burst_is_reported_less_and_less_often() {
        let mut scene = DebounceFixture::new(&["a", "b"]);
        let mut reported = Vec::new();
        for ms in (0..12_000).step_by(50) {
            let name = if ms % 100 == 0 { "a" } else { "b" };
            while scene.due().is_some_and(|due| due <= Duration::from_millis(ms)) {
                reported.push(scene.due().unwrap().as_millis());
                scene.tell();
            }
            scene.event(ms, name, CLOSED, Some(&*ms.to_string().leak()));
        }
        assert_eq!(reported, [0, 1_050, 3_050, 7_050, 11_050], "at once, then after 1, 2 and 4 s");
        assert!(
            !scene.pending.is_still_changing(scene.start + Duration::from_millis(7_100)),
            "no start is delayed"
        );
    }

    #[test]
    fn file_that_is_never_closed_is_waited_for_once() {
        let mut scene = DebounceFixture::new(&["db"]);
        scene.event(0, "db", WROTE, Some("1"));
        assert_eq!(scene.due(), at(0, SETTLE_CAP));
        scene.tell();
        scene.event(5_000, "db", WROTE, Some("2"));
        assert_eq!(scene.due(), at(5_000, SETTLE_MANY));
        scene.tell();
        scene.event(9_000, "db", CLOSED, Some("3"));
        assert_eq!(scene.due(), at(9_000, SETTLE_ONE));
        scene.tell();
        scene.event(12_000, "db", WROTE, Some("4"));
        assert_eq!(scene.due(), at(12_000, SETTLE_CAP));
    }

    #[test]
    fn too_much_to_remember_becomes_one_look_everywhere() {
        let mut pending = Debouncer::default();
        let window = EventWindow { first: Instant::now(), last: Instant::now() };
        for part in 0..3 {
            let name = |n| PathBuf::from(format!("{part}/{n}"));
            let paths = (0..MAX_PATHS / 2).map(|n| (name(n), PathEvent::default())).collect();
            let batch = EventBatch { paths, everywhere: false, window: Some(window) };
            pending.add(batch, |_, _| Some(SaveStage::Other));
        }
        let due = pending.take(SETTLE, window.last);
        assert!(due.everywhere && due.paths.len() < MAX_PATHS);
    }
}
