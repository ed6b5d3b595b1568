use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use super::restart_loop::LoopDetection;
use crate::engine::input::JobId;
use crate::engine::kill_progress::KillProgress;
use crate::engine::service_state::EngineTime;
use crate::engine::{Effect, KilledTree};
use crate::model::{Message, Survivor};

/// What file changes led to in one service, and still will.
///
/// Files that change together form a round: their commands run one after the other, in the order of
/// the watches, and the restart or signal follows. Changes during a round join it, so a command
/// never runs twice at once and the last command has seen every change.
#[derive(Debug, Clone, Default)]
pub(in crate::engine) struct WatchActions {
    /// The commands to run, by the index of their watch, with the changed file.
    pub queued: BTreeMap<usize, PathBuf>,
    pub job: Option<RunningJob>,
    /// Restart the service at the end of the round.
    pub restart_after: Option<PathBuf>,
    /// Start the service at the end of the round if it is not running.
    pub start_after: Option<PathBuf>,
    /// Signals to send at the end of the round.
    pub signals_after: BTreeMap<i32, PathBuf>,
    /// Signals to send as soon as the run can handle them.
    pub signals: BTreeMap<i32, PathBuf>,
    /// The watches whose build failed in this round, by index: none may be left for the restart.
    pub failed_builds: BTreeSet<usize>,
    /// Why the last command of a watch failed, by the index of the watch, with the file it ran for.
    pub failed: BTreeMap<usize, (PathBuf, Message)>,
    /// When a run, command or signal that may have written files last started or ended.
    pub last_activity: Option<EngineTime>,
    /// A change while a command runs. Whether the command made it is known when it exits.
    pub change_during_job: Option<(EngineTime, PathBuf)>,
    /// Commands to run when the service is back in run mode, by the index of their watch.
    pub deferred: BTreeMap<usize, PathBuf>,
    /// Whether the user knows that changes are deferred during the current run.
    pub defer_reported: bool,
    pub loop_detection: LoopDetection,
    /// The same for changes of its environment.
    pub env_loop: LoopDetection,
}

/// A running watch command.
#[derive(Debug, Clone)]
pub(in crate::engine) struct RunningJob {
    pub job: JobId,
    pub place: usize,
    pub path: PathBuf,
    pub began: EngineTime,
    pub life: JobStage,
}

#[derive(Debug, Clone, PartialEq)]
pub(in crate::engine) enum JobStage {
    Useful,
    /// Its result no longer counts.
    Unwanted,
    /// A stop or kill was ordered.
    Ending(KillProgress),
}

impl WatchActions {
    /// Whether a command or anything left of it is running.
    pub fn is_working(&self) -> bool {
        self.job.is_some()
    }

    /// Whether this is its running command.
    pub fn runs_job(&self, job: JobId) -> bool {
        self.job.as_ref().is_some_and(|working| working.job == job)
    }

    /// Gives up on its running command, which exited or was killed, and of which this is left. False
    /// if it was given up before. What it was to do is done once it has gone after all.
    pub fn survives(&mut self, left: Vec<Survivor>) -> bool {
        self.interrupt();
        let Some(working) = &mut self.job else { return false };
        let first = !matches!(working.life, JobStage::Ending(KillProgress::Survived(_)));
        working.life = JobStage::Ending(KillProgress::Survived(left));
        first
    }

    /// Keeps why its running command fails.
    pub fn fail_job(&mut self, message: Message) {
        if let Some(working) = &self.job {
            self.failed.insert(working.place, (working.path.clone(), message));
        }
    }

    /// What the user should know.
    pub fn message(&self) -> Option<&Message> {
        let failed = self.failed.values().map(|(_, message)| message);
        let paused = || self.loop_detection.message().or(self.env_loop.message());
        failed.into_iter().next().or_else(paused)
    }

    /// When a stopping command is killed, or inspected after that.
    pub fn deadline(&self) -> Option<EngineTime> {
        self.kill()?.deadline()
    }

    /// How far the end of the running command is, if it was asked to stop.
    pub fn kill(&self) -> Option<&KillProgress> {
        match &self.job.as_ref()?.life {
            JobStage::Ending(kill) => Some(kill),
            JobStage::Useful | JobStage::Unwanted => None,
        }
    }

    pub fn kill_mut(&mut self) -> Option<&mut KillProgress> {
        match &mut self.job.as_mut()?.life {
            JobStage::Ending(kill) => Some(kill),
            JobStage::Useful | JobStage::Unwanted => None,
        }
    }

    /// Postpones times by a suspension of the machine.
    pub fn shift(&mut self, time: Duration) {
        if let Some(kill) = self.kill_mut() {
            kill.shift(time);
        }
        if let Some(mark) = &mut self.last_activity {
            *mark += time;
        }
        self.loop_detection.shift(time);
        self.env_loop.shift(time);
    }

    /// Records that a run or command started or ended: files written from now on may be its work.
    pub fn last_activity(&mut self, now: EngineTime) {
        self.last_activity = Some(now);
    }

    /// Prepares for the next run, which reads every file anyway, so pending signals are dropped.
    pub fn begin_run(&mut self, debugged: bool) {
        self.signals.clear();
        self.defer_reported = false;
        if !debugged {
            self.queued.append(&mut self.deferred);
        }
    }

    /// Defers everything until the service is back in run mode.
    pub fn defer_all(&mut self) {
        self.interrupt();
        let failed = std::mem::take(&mut self.failed);
        self.deferred.extend(failed.into_iter().map(|(place, (path, _))| (place, path)));
        self.deferred.append(&mut self.queued);
        (self.restart_after, self.start_after, self.change_during_job) = (None, None, None);
        self.signals_after.clear();
        self.signals.clear();
        self.failed_builds.clear();
    }

    /// Forgets all changes, because the service was stopped.
    pub fn clear(&mut self) {
        self.interrupt();
        let WatchActions { job, last_activity: mark, .. } = std::mem::take(self);
        (self.job, self.last_activity) = (job, mark);
    }

    /// Resets loop detection after a user action.
    pub fn reset_loop_detection(&mut self) {
        self.loop_detection = LoopDetection::default();
        self.env_loop = LoopDetection::default();
    }

    /// Marks the running command as unwanted. Its work stays queued.
    pub fn interrupt(&mut self) {
        if let Some(working) = self.job.as_mut().filter(|working| working.life == JobStage::Useful)
        {
            working.life = JobStage::Unwanted;
            self.queued.entry(working.place).or_insert_with(|| working.path.clone());
        }
    }

    /// Orders the running command to stop, unless it was.
    pub fn stop(&mut self, kill_at: EngineTime, effects: &mut Vec<Effect>) {
        let Some(working) = &mut self.job else { return };
        match working.life {
            JobStage::Useful | JobStage::Unwanted => {
                effects.push(Effect::StopJob(working.job));
                working.life = JobStage::Ending(KillProgress::At(kill_at));
            }
            JobStage::Ending(_) => {}
        }
    }

    /// Kills the running command, unless it was.
    pub fn kill_job(&mut self, now: EngineTime, effects: &mut Vec<Effect>) {
        let Some(working) = &mut self.job else { return };
        match working.life {
            JobStage::Useful | JobStage::Unwanted | JobStage::Ending(KillProgress::At(_)) => {
                effects.push(Effect::KillJob(working.job));
                working.life = JobStage::Ending(KillProgress::ordered(now));
            }
            JobStage::Ending(_) => {}
        }
    }

    /// Kills a stopping command whose grace period is over, and has what survives that inspected.
    pub fn expire(&mut self, now: EngineTime, effects: &mut Vec<Effect>) {
        if matches!(self.kill(), Some(KillProgress::At(at)) if *at <= now) {
            self.kill_job(now, effects);
        }
        if self.kill_mut().is_some_and(|kill| kill.becomes_overdue(now))
            && let Some(working) = &self.job
        {
            effects.push(Effect::InspectSurvivors(KilledTree::Job(working.job)));
        }
    }
}
