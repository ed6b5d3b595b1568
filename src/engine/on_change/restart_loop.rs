//! Tells services that restart themselves by writing watched files from users that save often.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::engine::Effect;
use crate::engine::failure::ServiceNotice;
use crate::engine::run_state::{ExitVerdict, RunStage};
use crate::engine::service_state::{EngineTime, ServiceState};
use crate::model::{DisplayDuration, EventKind, Message, Service};

/// A file that changes this often in a row, each time the same time after a start, is written by a
/// program: no user is that regular.
const STEADY_COUNT: usize = 4;

/// This many are, also if they differ more, as on a busy machine, or come [soon](SOON_AFTER_START):
/// an agent or a script that saves when it has seen the restart is regular, too.
const MAX_STEADY_COUNT: usize = 2 * STEADY_COUNT;

/// A user does not repeatedly save files within this time after a start. A script does, so this needs
/// more evidence.
const IMMEDIATELY: Duration = Duration::from_millis(500);
const MIN_IMMEDIATE_DURATION: Duration = Duration::from_secs(3);

/// A change this soon after a start may come from what was started, even if it is not steady; one of
/// the file of a loop does.
const SOON_AFTER_START: Duration = Duration::from_secs(2);

/// A user does not keep up a row of changes for this long, each soon after a start.
const MIN_LOOP_DURATION: Duration = Duration::from_secs(20);

/// Fewer changes than this soon after a start prove nothing. If restarts are slow, a user who waits
/// for each one also saves soon after it, but not this often in a row.
const MIN_LOOP_COUNT: u32 = 8;

/// A row of this many changes is a loop, even with different (generated) file names.
const CERTAIN_LOOP_COUNT: u32 = 250;

/// How many files of a row are remembered. A row with more has generated names.
const MAX_PATHS: usize = 16;

/// How long the files of a loop must be left alone before a change of them counts as the user's.
const QUIET_PERIOD: Duration = Duration::from_secs(5);

/// Whether a service restarts itself.
#[derive(Debug, Clone, Default)]
pub(in crate::engine) struct LoopDetection {
    row: Option<RestartLoop>,
    /// The files that no longer restart it, and what the user was told.
    pause: Option<(WatchPause, Message)>,
}

impl LoopDetection {
    /// What the user should know.
    pub fn message(&self) -> Option<&Message> {
        self.pause.as_ref().map(|(_, message)| message)
    }

    /// Postpones times by a suspension of the machine.
    pub fn shift(&mut self, time: Duration) {
        if let Some(row) = &mut self.row {
            row.since += time;
        }
        if let Some((pause, _)) = &mut self.pause {
            pause.last += time;
        }
    }

    fn covers(&self, path: &Path) -> bool {
        self.pause.as_ref().is_some_and(|(pause, _)| pause.covers(path))
    }

    /// Whether a change of these files is still the service's own: they are paused, and the user
    /// did not make it.
    fn ignores<'p>(
        &mut self,
        now: EngineTime,
        mut paths: impl Iterator<Item = &'p PathBuf>,
        after: Option<Duration>,
    ) -> bool {
        let Some((pause, _)) = &mut self.pause else { return false };
        if !paths.all(|path| pause.covers(path)) {
            return false;
        }
        let over = pause.is_over(now, after.unwrap_or(Duration::MAX));
        if over {
            *self = LoopDetection::default();
        }
        !over
    }

    /// Counts a change `after` the last start. A loop is paused; `tell` makes its message.
    fn count(
        &mut self,
        now: EngineTime,
        path: &Path,
        after: Duration,
        tell: impl FnOnce(FoundLoop) -> Message,
    ) -> Option<Message> {
        let counted = self.row.get_or_insert_with(|| RestartLoop::new(now));
        let found = counted.add(now, path, after)?;
        self.row = None;
        let mut paused = self.pause.take().map_or_else(
            || WatchPause { files: Some(BTreeSet::new()), written_by: Duration::ZERO, last: now },
            |(paused, _)| paused,
        );
        paused.extend(now, &found);
        let message = tell(found);
        self.pause = Some((paused, message.clone()));
        Some(message)
    }
}

/// Changes in a row, each after the start that the previous one caused.
#[derive(Debug, Clone)]
pub(in crate::engine) struct RestartLoop {
    /// The changes soon after a start: since when, how many, and of which files.
    since: EngineTime,
    count: u32,
    all_immediate: bool,
    paths: BTreeSet<PathBuf>,
    steady: SteadyChanges,
}

/// Changes of one file in a row, or of files whose names differ only in what is generated.
#[derive(Debug, Clone, Default)]
struct SteadyChanges {
    /// Their [`pattern`].
    pattern: PathBuf,
    /// The last of them in their order, and how long after a start each came.
    changes: VecDeque<(PathBuf, Duration)>,
}

impl SteadyChanges {
    fn add(&mut self, path: &Path, after: Duration) {
        let pattern = pattern(path);
        if self.pattern != pattern {
            *self = SteadyChanges { pattern, changes: VecDeque::new() };
        }
        if self.changes.len() == MAX_STEADY_COUNT {
            self.changes.pop_front();
        }
        self.changes.push_back((path.to_owned(), after));
    }

    /// Finds the last changes that came at about the same time after a start. Those of different
    /// files prove less: a generator may write one after the other.
    fn found(&self) -> Option<SteadyLoop> {
        let rules = [
            (STEADY_COUNT, 1, SOON_AFTER_START, 1),
            (MAX_STEADY_COUNT, 2, Duration::ZERO, 1),
            (MAX_STEADY_COUNT, 1, IMMEDIATELY, usize::MAX),
        ];
        rules.into_iter().find_map(|(count, tolerance, earliest, most_files)| {
            let last = self.changes.range(self.changes.len().checked_sub(count)?..);
            let delays = last.clone().map(|(_, after)| *after);
            let (shortest, longest) = (delays.clone().min()?, delays.max()?);
            let steady = longest - shortest <= tolerance * jitter(longest);
            let files: BTreeSet<PathBuf> = last.map(|(path, _)| path.clone()).collect();
            (steady && longest >= earliest && files.len() <= most_files).then(|| SteadyLoop {
                count,
                longest,
                // Files that are never the same twice have endless names.
                files: (files.len() < count).then_some(files),
            })
        })
    }
}

struct SteadyLoop {
    count: usize,
    /// The latest time after a start.
    longest: Duration,
    /// `None`: with generated names.
    files: Option<BTreeSet<PathBuf>>,
}

/// Returns the path with `*` for those words of its name that have digits and may be generated, such
/// as the number of a process, a time or a hash.
fn pattern(path: &Path) -> PathBuf {
    let Some(name) = path.file_name().and_then(OsStr::to_str) else { return path.to_owned() };
    let words = name.split_inclusive(|char: char| !char.is_alphanumeric());
    let pattern: String = words
        .map(|word| {
            let end = word.trim_start_matches(char::is_alphanumeric);
            let generated = word.contains(|char: char| char.is_ascii_digit());
            if generated { format!("*{end}") } else { word.to_owned() }
        })
        .collect();
    path.with_file_name(pattern)
}

/// How much the same work differs in time from start to start.
fn jitter(time: Duration) -> Duration {
    (time / 10).clamp(Duration::from_millis(100), Duration::from_millis(500))
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::engine) struct FoundLoop {
    /// Its files; `None`: any.
    files: Option<BTreeSet<PathBuf>>,
    /// How long after a start it has written them at the latest.
    written_by: Duration,
    /// `4 times in a row, each 3s after a start`.
    summary: String,
}

impl RestartLoop {
    pub fn new(now: EngineTime) -> RestartLoop {
        RestartLoop {
            since: now,
            count: 0,
            all_immediate: true,
            paths: BTreeSet::new(),
            steady: SteadyChanges::default(),
        }
    }

    /// Adds a change that came `after` the last start.
    pub fn add(&mut self, now: EngineTime, path: &Path, after: Duration) -> Option<FoundLoop> {
        self.find_steady(path, after).or_else(|| self.find_frequent(now, path, after))
    }

    fn find_steady(&mut self, path: &Path, after: Duration) -> Option<FoundLoop> {
        self.steady.add(path, after);
        let SteadyLoop { count, longest, files } = self.steady.found()?;
        Some(FoundLoop {
            files,
            written_by: SOON_AFTER_START.max(longest + jitter(longest)),
            summary: format!(
                "{count} times in a row, each {} after a start",
                DisplayDuration(rounded(longest))
            ),
        })
    }

    fn find_frequent(
        &mut self,
        now: EngineTime,
        path: &Path,
        after: Duration,
    ) -> Option<FoundLoop> {
        if after >= SOON_AFTER_START {
            *self =
                RestartLoop { steady: std::mem::take(&mut self.steady), ..RestartLoop::new(now) };
            return None;
        }
        if self.count == 0 {
            self.since = now;
        }
        self.count += 1;
        self.all_immediate &= after < IMMEDIATELY;
        if self.paths.len() <= MAX_PATHS {
            self.paths.insert(path.to_owned());
        }
        let took = now.saturating_sub(self.since);
        let needed = if self.all_immediate { MIN_IMMEDIATE_DURATION } else { MIN_LOOP_DURATION };
        // A loop changes the same files again; work on a project does not.
        let few = self.paths.len() <= MAX_PATHS;
        let same = few && self.paths.len() as u32 * 2 <= self.count;
        let long = self.count >= MIN_LOOP_COUNT && took >= needed;
        ((long && same) || self.count >= CERTAIN_LOOP_COUNT).then(|| FoundLoop {
            files: few.then(|| self.paths.clone()),
            written_by: SOON_AFTER_START,
            summary: format!(
                "{} times in {}, each within {} of a start",
                self.count,
                DisplayDuration(Duration::from_secs(took.as_secs().max(1))),
                DisplayDuration(SOON_AFTER_START)
            ),
        })
    }
}

/// Rounded to what matters to a reader.
fn rounded(time: Duration) -> Duration {
    let ms = time.as_millis() as u64;
    Duration::from_millis(match ms {
        0..100 => ms.div_ceil(10).max(1) * 10,
        100..9_950 => (ms + 50) / 100 * 100,
        9_950.. => (ms + 50) / 1000 * 1000,
    })
}

/// Files that do not restart the service until the user saves one of them.
#[derive(Debug, Clone)]
pub(in crate::engine) struct WatchPause {
    /// `None`: any.
    files: Option<BTreeSet<PathBuf>>,
    /// How long after a start a change of them is still the service's own.
    written_by: Duration,
    last: EngineTime,
}

impl WatchPause {
    /// Pauses the files of a loop, too.
    fn extend(&mut self, now: EngineTime, found: &FoundLoop) {
        self.files = match (self.files.take(), &found.files) {
            (Some(mut files), Some(more)) => {
                files.extend(more.iter().cloned());
                (files.len() <= MAX_PATHS).then_some(files)
            }
            (None, _) | (_, None) => None,
        };
        self.written_by = self.written_by.max(found.written_by);
        self.last = now;
    }

    fn covers(&self, path: &Path) -> bool {
        self.files.as_ref().is_none_or(|files| files.contains(path))
    }

    /// Records a change of a paused file `after` the last start, and returns whether the user made
    /// it. A service that no longer restarts may keep writing, but then its files are never quiet.
    fn is_over(&mut self, now: EngineTime, after: Duration) -> bool {
        let quiet = now >= self.last + QUIET_PERIOD.max(self.written_by);
        self.last = now;
        quiet && after > self.written_by
    }
}

impl ServiceState {
    /// Whether a file change leads to anything. The only place that pauses watches.
    pub(super) fn accepts_change(
        &mut self,
        now: EngineTime,
        files: &BTreeMap<usize, PathBuf>,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let after = self.saves.last_activity.map(|mark| now.saturating_sub(mark));
        if self.saves.loop_detection.ignores(now, files.values(), after) {
            return false;
        }
        let ended = matches!(
            self.stage(),
            Some(
                RunStage::Stopping { .. }
                    | RunStage::Draining { verdict: ExitVerdict::Requested, .. }
            )
        );
        if ended
            || self.pending_restart.is_some()
            || files.keys().all(|place| self.saves.queued.contains_key(place))
        {
            // The change makes no difference to what follows.
            return true;
        }
        let paused = |path: &PathBuf| self.saves.loop_detection.covers(path);
        let Some(path) = files.values().find(|path| !paused(path)).cloned() else { return true };
        match after {
            Some(after) if after >= SOON_AFTER_START && self.saves.job.is_some() => {
                self.saves.change_during_job = Some((now, path));
                true
            }
            Some(after) => !self.record_change(now, path, after, effects),
            None => true,
        }
    }

    /// Records a change that may be the service's own work. Returns true for a restart loop.
    fn record_change(
        &mut self,
        now: EngineTime,
        path: PathBuf,
        after: Duration,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let service = &self.service;
        let tell = |found: FoundLoop| {
            let files = suspects(service, &found.files.unwrap_or_else(|| [pattern(&path)].into()));
            ServiceNotice::WatchPaused { files, summary: found.summary }.message(&service.name)
        };
        let told = self.saves.loop_detection.count(now, &path, after, tell);
        let Some(message) = told else { return false };
        self.emit(EventKind::Note(message), effects);
        true
    }

    /// Whether a change of these variables restarts the service. Its env file may be its own work.
    pub(in crate::engine) fn accepts_env_change(
        &mut self,
        now: EngineTime,
        variables: &[String],
        effects: &mut Vec<Effect>,
    ) -> bool {
        let after = self.saves.last_activity.map(|mark| now.saturating_sub(mark));
        // The variables stand for their file, which the engine does not know.
        let key = PathBuf::from(variables.join(", "));
        if self.saves.env_loop.ignores(now, [&key].into_iter(), after) {
            return false;
        }
        let Some(after) = after.filter(|_| self.pending_restart.is_none()) else { return true };
        let name = &self.service.name;
        let tell = |found: FoundLoop| {
            let variables = variables.iter().take(3).cloned().collect();
            ServiceNotice::EnvPaused { variables, summary: found.summary }.message(name)
        };
        let told = self.saves.env_loop.count(now, &key, after, tell);
        let Some(message) = told else { return true };
        self.emit(EventKind::Note(message), effects);
        false
    }

    /// Decides whether a change during a watch command was the command's own work.
    pub(super) fn judge_change_during_job(&mut self, now: EngineTime, effects: &mut Vec<Effect>) {
        let Some((at, path)) = self.saves.change_during_job.take() else { return };
        if self.record_change(now, path, now.saturating_sub(at), effects) {
            self.saves.queued.clear();
        }
    }
}

/// Returns some files of a restart loop, as globs.
fn suspects(service: &Service, paths: &BTreeSet<PathBuf>) -> Vec<String> {
    let glob = |path: &PathBuf| {
        let inner = service.watch.iter().find_map(|watch| path.strip_prefix(&watch.root).ok());
        let name = path.file_name().unwrap_or_default();
        inner.map_or_else(
            || format!("**/{}", name.to_string_lossy()),
            |inner| inner.to_string_lossy().into_owned(),
        )
    };
    paths.iter().take(3).map(glob).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Returns after how many of 400 changes, one every `every` ms and `after` ms after a start, a
    /// loop is found.
    fn found(every: u64, after: u64, file: impl Fn(u64) -> String) -> Option<u64> {
        let mut row = RestartLoop::new(ms(0));
        (1..=400).find(|n| {
            let path = PathBuf::from(file(*n));
            row.add(ms((n - 1) * every), &path, ms(after)).is_some()
        })
    }

    /// Returns whether a loop is found in changes of one file this long after each start.
    fn is_loop(delays: &[u64]) -> bool {
        let (mut row, mut now) = (RestartLoop::new(ms(0)), ms(0));
        delays.iter().any(|after| {
            now += ms(after + 50);
            row.add(now, Path::new("a"), ms(*after)).is_some()
        })
    }

    #[test]
    fn a_file_that_changes_at_the_same_time_after_each_start_is_a_loop() {
        for after in (50..=1_900).step_by(25).chain([0, 10, 3_000, 10_000, 60_000]) {
            let count = if after < 2_000 { 8 } else { 4 };
            assert_eq!(found(after + 100, after, |_| "a".to_owned()), Some(count), "{after} ms");
        }
        assert!(is_loop(&[1_970, 2_030, 1_980, 2_020]), "around two seconds");
        assert!(is_loop(&[3_100, 2_950, 3_200, 3_050]), "on a busy machine");
        assert!(is_loop(&[5_000, 40_000, 3_100, 2_950, 3_200, 3_050]), "after two saves");
        for middle in (100..=900).step_by(50) {
            let delays = [0, 190, 60, 160, 30, 180, 10, 150].map(|more| middle - 90 + more);
            assert!(!is_loop(&delays[..7]) && is_loop(&delays), "around {middle} ms");
        }
    }

    #[test]
    fn a_loop_is_found_with_any_files() {
        assert_eq!(found(30, 10, |n| format!("{}", n % 2)), Some(101), "in three seconds");
        assert_eq!(found(500, 400, |n| format!("{}", n % 2)), Some(8));
        assert_eq!(found(1000, 900, |n| ["a", "b", "c"][n as usize % 3].to_owned()), Some(21));
        let word = |n| format!("{}", char::from_u32(0x4e00 + n as u32).expect("a letter"));
        assert_eq!(found(1000, 900, word), Some(u64::from(CERTAIN_LOOP_COUNT)));
    }

    /// Each start writes a file that no other has written.
    #[test]
    fn a_loop_is_found_by_the_pattern_of_generated_names() {
        let name = |n: u64| format!("src/cache-{}.{n:x}1.json", 4000 + n);
        assert_eq!(found(1000, 900, name), Some(8));
        assert_eq!(found(4000, 3_000, name), Some(8));
        assert_eq!(found(4000, 3_000, |n| format!("src{n}/app.py")), None, "other directories");
        let mut row = RestartLoop::new(ms(0));
        let of_two = (0..8)
            .find_map(|n| row.add(ms(n * 3100), Path::new(["a1", "a2"][n as usize % 2]), ms(3000)));
        assert_eq!(
            of_two.and_then(|found| found.files),
            Some(["a1", "a2"].map(PathBuf::from).into())
        );
        for (path, expected) in [
            ("src/log.4189.tmp", "src/log.*.tmp"),
            ("v2/app.py", "v2/app.py"),
            ("3f2a-9c1d_part", "*-*_part"),
            ("a1", "*"),
            ("é.日本3", "é.*"),
        ] {
            assert_eq!(pattern(Path::new(path)), Path::new(expected));
        }
    }

    #[test]
    fn numbered_files_that_somebody_writes_are_no_loop() {
        let name = |n: u64| PathBuf::from(format!("{n:03}.sql"));
        let mut row = RestartLoop::new(ms(0));
        for n in 0..7 {
            assert_eq!(row.add(ms(n * 2000), &name(n), ms(1900)), None, "not enough of them");
        }
        let mut row = RestartLoop::new(ms(0));
        for (n, after) in
            [2_100, 2_900, 2_300, 3_300, 2_200, 4_000, 2_400, 3_100, 2_500].into_iter().enumerate()
        {
            assert_eq!(row.add(ms(n as u64 * 5000), &name(n as u64), ms(after)), None);
        }
    }

    #[test]
    fn saves_of_a_user_are_no_loop() {
        assert!(!is_loop(&[950, 1_200, 800, 1_400, 1_000, 700, 950, 1_250, 900, 1_100]));
        assert!(!is_loop(&[4_000, 9_000, 3_000, 3_100, 7_000, 30_000, 31_000, 29_000, 6_000]));
        assert!(!is_loop(&[100; 7]), "a script that saves as soon as it sees the restart");
        assert!(!is_loop(&[700; 7]), "an agent that saves when it has seen the service answer");
        // Save, and the formatter saves it again.
        assert!(!is_loop(&[300, 30_000, 310, 20_000, 290, 60_000, 300, 8_000]));
    }

    #[test]
    fn a_short_time_is_told_in_milliseconds() {
        let told = [0, 3, 48, 99, 100, 149, 1_940, 3_060, 9_940, 9_960, 59_600];
        let told = told.map(|time| DisplayDuration(rounded(ms(time))).to_string());
        let expected = ["10ms", "10ms", "50ms", "100ms", "100ms", "100ms"];
        assert_eq!(told[..6], expected);
        assert_eq!(told[6..], ["1.9s", "3.1s", "9.9s", "10s", "59s"]);
    }

    #[test]
    fn a_pause_is_of_its_files_and_ends_with_a_save_after_a_rest() {
        let mut row = RestartLoop::new(ms(0));
        let found = (0..4).find_map(|n| row.add(ms(n * 3100), Path::new("a"), ms(3000))).unwrap();
        assert_eq!(found.summary, "4 times in a row, each 3s after a start");
        let mut pause = WatchPause { files: Some(BTreeSet::new()), written_by: ms(0), last: ms(0) };
        pause.extend(ms(10_000), &found);
        assert!(pause.covers(Path::new("a")) && !pause.covers(Path::new("b")));
        assert!(!pause.is_over(ms(14_000), ms(7_000)));
        assert!(!pause.is_over(ms(18_000), ms(11_000)), "the quiet period starts again");
        assert!(!pause.is_over(ms(40_000), ms(3_100)), "another change was a restart");
        assert!(pause.is_over(ms(60_000), ms(20_000)));
        let many = FoundLoop { files: None, ..found };
        pause.extend(ms(0), &many);
        assert!(pause.covers(Path::new("any")));
    }
}
