use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::restart_loop::LoopState;
use crate::engine::Effect;
use crate::engine::input::JobId;
use crate::engine::run_state::KillDeadline;
use crate::engine::service_state::EngineTime;
use crate::model::Message;

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
    /// Whether a command that must succeed before the restart failed in this round.
    pub build_failed: bool,
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
    pub loop_state: LoopState,
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum JobStage {
    Useful,
    /// Its result no longer counts.
    Unwanted,
    /// A stop or kill was ordered.
    Ending(KillDeadline),
}

impl WatchActions {
    /// Whether a command or anything left of it is running.
    pub fn is_working(&self) -> bool {
        self.job.is_some()
    }

    /// What the user should know.
    pub fn message(&self) -> Option<&Message> {
        let failed = self.failed.values().map(|(_, message)| message);
        let paused = match &self.loop_state {
            LoopState::Paused(_, message) => Some(message),
            LoopState::Quiet | LoopState::Counting(_) => None,
        };
        failed.into_iter().next().or(paused)
    }

    /// When a stopping command is killed.
    pub fn deadline(&self) -> Option<EngineTime> {
        match self.job.as_ref()?.life {
            JobStage::Ending(KillDeadline::At(at)) => Some(at),
            JobStage::Ending(
                KillDeadline::Debugging(_) | KillDeadline::Ordered | KillDeadline::NotNeeded,
            )
            | JobStage::Useful
            | JobStage::Unwanted => None,
        }
    }

    /// Postpones times by a suspension of the machine.
    pub fn shift(&mut self, time: Duration) {
        if let Some(RunningJob { life: JobStage::Ending(KillDeadline::At(at)), .. }) = &mut self.job
        {
            *at += time;
        }
        if let Some(mark) = &mut self.last_activity {
            *mark += time;
        }
        self.loop_state.shift(time);
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
        self.build_failed = false;
    }

    /// Forgets all changes, because the service was stopped.
    pub fn clear(&mut self) {
        self.interrupt();
        let WatchActions { job, last_activity: mark, .. } = std::mem::take(self);
        (self.job, self.last_activity) = (job, mark);
    }

    /// Resets loop detection after a user action.
    pub fn reset_loop_detection(&mut self) {
        self.loop_state = LoopState::Quiet;
    }

    /// Marks the running command as unwanted. Its work stays queued.
    pub fn interrupt(&mut self) {
        if let Some(working) = self.job.as_mut().filter(|working| working.life == JobStage::Useful)
        {
            working.life = JobStage::Unwanted;
            self.queued.entry(working.place).or_insert_with(|| working.path.clone());
        }
    }

    /// Orders the running command to stop, or kills it.
    pub fn stop(&mut self, kill: KillDeadline, effects: &mut Vec<Effect>) {
        let Some(working) = &mut self.job else { return };
        match working.life {
            JobStage::Useful | JobStage::Unwanted => {
                effects.push(match kill {
                    KillDeadline::At(_) | KillDeadline::Debugging(_) | KillDeadline::NotNeeded => {
                        Effect::StopJob(working.job)
                    }
                    KillDeadline::Ordered => Effect::KillJob(working.job),
                });
                working.life = JobStage::Ending(kill);
            }
            JobStage::Ending(KillDeadline::At(_) | KillDeadline::NotNeeded)
                if kill == KillDeadline::Ordered =>
            {
                effects.push(Effect::KillJob(working.job));
                working.life = JobStage::Ending(kill);
            }
            JobStage::Ending(_) => {}
        }
    }

    /// Kills a stopping command whose grace period is over.
    pub fn expire(&mut self, now: EngineTime, effects: &mut Vec<Effect>) {
        if self.deadline().is_some_and(|at| at <= now) {
            self.stop(KillDeadline::Ordered, effects);
        }
    }
}
