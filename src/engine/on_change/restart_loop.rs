//! Tells services that restart themselves by writing watched files from users who save often.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::engine::Effect;
use crate::engine::failure::ServiceNotice;
use crate::engine::run_state::{ExitVerdict, RunStage};
use crate::engine::service_state::{EngineTime, ServiceState};
use crate::model::{DisplayDuration, EventKind, Message, Service};

/// A change this soon after a start may come from what was started.
const SOON_AFTER_START: Duration = Duration::from_secs(2);

/// A user does not repeatedly save a file within this time after a start.
const IMMEDIATELY: Duration = Duration::from_millis(500);

/// This many changes in a row, each immediately after a start, are suspicious. Nothing is paused
/// yet: a script that saves as soon as it sees the restart looks the same.
const SUSPICIOUS_COUNT: u32 = 10;

/// Fewer changes than this prove nothing. If restarts are slow, a user who waits for each one also
/// saves soon after it, but not this often in a row.
const MIN_LOOP_COUNT: u32 = 8;

/// A user does not keep up a row of changes for this long; a hundred scripted saves take less.
const MIN_LOOP_DURATION: Duration = Duration::from_secs(20);

/// A row of this many changes is a loop, even with different (generated) file names.
const CERTAIN_LOOP_COUNT: u32 = 250;

/// How many files of a row are remembered. A row with more has generated names.
const MAX_PATHS: usize = 16;

/// How long the files of a loop must be left alone before a change of them counts as the user's.
const QUIET_PERIOD: Duration = Duration::from_secs(5);

/// Whether a service seems to restart itself.
#[derive(Debug, Clone, Default)]
pub(in crate::engine) enum LoopState {
    #[default]
    Quiet,
    /// Its files changed soon after its last starts.
    Counting(RestartLoop),
    /// Its watches are paused; what the user was told.
    Paused(WatchPause, Message),
}

impl LoopState {
    /// Returns the row of changes to add to, unless the watches are paused.
    fn counting(&mut self, now: EngineTime) -> Option<&mut RestartLoop> {
        if let LoopState::Quiet = self {
            *self = LoopState::Counting(RestartLoop::new(now));
        }
        match self {
            LoopState::Counting(row) => Some(row),
            LoopState::Quiet | LoopState::Paused(..) => None,
        }
    }

    fn pause(&mut self, now: EngineTime, message: Message) {
        if let LoopState::Counting(row) = std::mem::take(self) {
            *self = LoopState::Paused(row.into_pause(now), message);
        }
    }

    /// Postpones times by a suspension of the machine.
    pub fn shift(&mut self, time: Duration) {
        match self {
            LoopState::Quiet => {}
            LoopState::Counting(row) => row.since += time,
            LoopState::Paused(pause, _) => pause.last += time,
        }
    }
}

/// Changes in a row, each soon after the start that the previous one caused.
#[derive(Debug, Clone)]
pub(in crate::engine) struct RestartLoop {
    since: EngineTime,
    count: u32,
    /// How many, counted from the first, came immediately after a start.
    at_once: u32,
    paths: BTreeSet<PathBuf>,
}

/// What one more change means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum LoopVerdict {
    Usual,
    /// The service seems to write the file. Returned once per row.
    Odd,
    Loop,
}

impl RestartLoop {
    pub fn new(now: EngineTime) -> RestartLoop {
        RestartLoop { since: now, count: 0, at_once: 0, paths: BTreeSet::new() }
    }

    /// Adds a change that came `after` the last start.
    pub fn add(&mut self, now: EngineTime, path: &Path, after: Duration) -> LoopVerdict {
        let all_at_once = self.at_once == self.count && after < IMMEDIATELY;
        self.count += 1;
        self.at_once += u32::from(all_at_once);
        if self.paths.len() <= MAX_PATHS {
            self.paths.insert(path.to_owned());
        }
        let long =
            self.count >= MIN_LOOP_COUNT && now.saturating_sub(self.since) >= MIN_LOOP_DURATION;
        // A loop changes the same files again; a user who works through a project does not.
        let few = self.paths.len() <= MAX_PATHS;
        let same = few && self.paths.len() as u32 * 2 <= self.count;
        if (long && same) || self.count >= CERTAIN_LOOP_COUNT {
            LoopVerdict::Loop
        } else if self.at_once == SUSPICIOUS_COUNT && all_at_once && same {
            LoopVerdict::Odd
        } else {
            LoopVerdict::Usual
        }
    }

    /// `25 times in 20s, each within 2s of a start`.
    pub fn summary(&self, now: EngineTime) -> String {
        let took = Duration::from_secs(now.saturating_sub(self.since).as_secs().max(1));
        format!(
            "{} times in {}, each within {} of a start",
            self.count,
            DisplayDuration(took),
            DisplayDuration(SOON_AFTER_START)
        )
    }

    pub fn into_pause(self, now: EngineTime) -> WatchPause {
        WatchPause { files: (self.paths.len() <= MAX_PATHS).then_some(self.paths), last: now }
    }
}

/// A watch that is paused until the user saves a file.
#[derive(Debug, Clone)]
pub(in crate::engine) struct WatchPause {
    /// The files of the loop; `None`: any.
    files: Option<BTreeSet<PathBuf>>,
    /// When a watched file last changed.
    last: EngineTime,
}

impl WatchPause {
    /// Records a change and returns whether the user made it. A service that no longer restarts may
    /// keep writing, but then its files are never quiet.
    pub fn is_over(&mut self, now: EngineTime, path: &Path) -> bool {
        let of_the_loop = self.files.as_ref().is_none_or(|files| files.contains(path));
        let quiet = now >= self.last + QUIET_PERIOD;
        self.last = now;
        !of_the_loop || quiet
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
        let Some(path) = files.values().next() else { return false };
        if let LoopState::Paused(pause, _) = &mut self.saves.loop_state {
            if !pause.is_over(now, path) {
                return false;
            }
            self.saves.reset_loop_detection();
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
        let after = self.saves.last_activity.map(|mark| now.saturating_sub(mark));
        match after.filter(|after| *after < SOON_AFTER_START) {
            Some(after) => !self.record_change(now, path.clone(), after, effects),
            None if self.saves.job.is_some() => {
                self.saves.change_during_job = Some((now, path.clone()));
                true
            }
            None => {
                self.saves.reset_loop_detection();
                true
            }
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
        let Some(row) = self.saves.loop_state.counting(now) else { return false };
        let verdict = row.add(now, &path, after);
        let files = suspects(&self.service, row);
        let notice = match verdict {
            LoopVerdict::Usual => return false,
            LoopVerdict::Odd => ServiceNotice::LoopSuspected { files },
            LoopVerdict::Loop => ServiceNotice::WatchPaused { files, summary: row.summary(now) },
        };
        let is_loop = verdict == LoopVerdict::Loop;
        let message = notice.message(&self.service.name);
        if is_loop {
            self.saves.loop_state.pause(now, message.clone());
        }
        self.emit(EventKind::Note(message), effects);
        is_loop
    }

    /// Decides whether a change during a watch command was the command's own work.
    pub(super) fn judge_change_during_job(&mut self, now: EngineTime, effects: &mut Vec<Effect>) {
        let Some((at, path)) = self.saves.change_during_job.take() else { return };
        let before = now.saturating_sub(at);
        match self.saves.loop_state {
            LoopState::Paused(..) => {}
            LoopState::Quiet | LoopState::Counting(_) if before >= SOON_AFTER_START => {
                self.saves.reset_loop_detection();
            }
            LoopState::Quiet | LoopState::Counting(_) => {
                if self.record_change(now, path, before, effects) {
                    self.saves.queued.clear();
                }
            }
        }
    }
}

/// Returns some files of a restart loop, as globs.
fn suspects(service: &Service, row: &RestartLoop) -> Vec<String> {
    let glob = |path: &PathBuf| {
        let inner = service.watch.iter().find_map(|watch| path.strip_prefix(&watch.root).ok());
        let name = path.file_name().unwrap_or_default();
        inner.map_or_else(
            || format!("**/{}", name.to_string_lossy()),
            |inner| inner.to_string_lossy().into_owned(),
        )
    };
    row.paths.iter().take(3).map(glob).collect()
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
        let mut streak = RestartLoop::new(ms(0));
        (1..=400).find(|n| {
            let path = PathBuf::from(file(*n));
            streak.add(ms((n - 1) * every), &path, ms(after)) == LoopVerdict::Loop
        })
    }

    #[test]
    fn a_loop_is_found_at_any_speed_and_with_any_files() {
        let one = |_| "a".to_owned();
        assert_eq!(found(1000, 900, one), Some(21));
        assert_eq!(found(5000, 1900, one), Some(8));
        assert_eq!(found(30, 10, one), Some(u64::from(CERTAIN_LOOP_COUNT)));
        assert_eq!(found(1000, 900, |n| format!("{}", n % 3)), Some(21));
        assert_eq!(found(1000, 900, |n| format!("{n}")), Some(u64::from(CERTAIN_LOOP_COUNT)));
    }

    #[test]
    fn ten_saves_in_ten_seconds_and_a_hundred_by_a_script_are_none() {
        let mut streak = RestartLoop::new(ms(0));
        for n in 0..10 {
            assert_eq!(streak.add(ms(n * 1000), Path::new("a"), ms(950)), LoopVerdict::Usual);
        }
        let mut streak = RestartLoop::new(ms(0));
        let judged: Vec<LoopVerdict> =
            (0..100).map(|n| streak.add(ms(n * 150), Path::new("a"), ms(100))).collect();
        assert_eq!(judged.iter().filter(|one| **one == LoopVerdict::Odd).count(), 1);
        assert_eq!(judged[9], LoopVerdict::Odd);
        assert!(!judged.contains(&LoopVerdict::Loop));
    }

    #[test]
    fn a_pause_ends_with_another_file_or_after_a_rest() {
        let mut streak = RestartLoop::new(ms(0));
        streak.add(ms(0), Path::new("a"), ms(0));
        let mut pause = streak.clone().into_pause(ms(0));
        assert!(!pause.is_over(ms(4000), Path::new("a")));
        assert!(!pause.is_over(ms(8000), Path::new("a")), "the quiet period starts again");
        assert!(pause.is_over(ms(8001), Path::new("b")));
        assert!(pause.is_over(ms(14_000), Path::new("a")));
        for n in 0..40 {
            streak.add(ms(0), Path::new(&n.to_string()), ms(0));
        }
        let mut pause = streak.into_pause(ms(0));
        assert!(!pause.is_over(ms(1), Path::new("any")));
    }
}
