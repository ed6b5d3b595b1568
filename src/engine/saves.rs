use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::Effect;
use super::input::Job;
use super::slot::{KillAt, Time};
use super::streak::{Pause, Streak};
use crate::model::Message;

/// What file changes led to in one service, and still will.
///
/// Files that change together form a round: their commands run one after the other, in the order of
/// the watches, and the restart or signal follows. Changes during a round join it, so a command
/// never runs twice at once and the last command has seen every change.
#[derive(Debug, Clone, Default)]
pub(super) struct Saves {
    /// The commands to run, by the index of their watch, with the changed file.
    pub due: BTreeMap<usize, PathBuf>,
    pub job: Option<Working>,
    /// Restart the service at the end of the round.
    pub swap: Option<PathBuf>,
    /// Start the service at the end of the round if it is not running.
    pub revive: Option<PathBuf>,
    /// Signals to send at the end of the round.
    pub later: BTreeMap<i32, PathBuf>,
    /// Signals to send as soon as the run can handle them.
    pub signals: BTreeMap<i32, PathBuf>,
    /// Whether a command that must succeed before the restart failed in this round.
    pub spoiled: bool,
    /// Why the last command of a watch failed, by the index of the watch, with the file it ran for.
    pub failed: BTreeMap<usize, (PathBuf, Message)>,
    /// When a run, command or signal that may have written files last started or ended.
    pub mark: Option<Time>,
    /// A change while a command runs. Whether the command made it is known when it exits.
    pub during: Option<(Time, PathBuf)>,
    /// Commands to run when the service is back in run mode, by the index of their watch.
    pub held: BTreeMap<usize, PathBuf>,
    /// Whether the user knows that changes are deferred during the current run.
    pub hold_told: bool,
    pub streak: Option<Streak>,
    pub pause: Option<(Pause, Message)>,
}

/// A running watch command.
#[derive(Debug, Clone)]
pub(super) struct Working {
    pub job: Job,
    pub place: usize,
    pub path: PathBuf,
    pub began: Time,
    pub life: Life,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    Useful,
    /// Its result no longer counts.
    Unwanted,
    /// A stop or kill was ordered.
    Ending(KillAt),
}

impl Saves {
    /// Whether a command or anything left of it is running.
    pub fn is_working(&self) -> bool {
        self.job.is_some()
    }

    /// What the user should know.
    pub fn message(&self) -> Option<&Message> {
        let failed = self.failed.values().map(|(_, message)| message);
        let paused = self.pause.as_ref().map(|(_, message)| message);
        failed.into_iter().next().or(paused)
    }

    /// When a stopping command is killed.
    pub fn deadline(&self) -> Option<Time> {
        match self.job.as_ref()?.life {
            Life::Ending(KillAt::At(at)) => Some(at),
            Life::Ending(KillAt::Held(_) | KillAt::Ordered | KillAt::Never)
            | Life::Useful
            | Life::Unwanted => None,
        }
    }

    /// Postpones times by a suspension of the machine.
    pub fn shift(&mut self, time: Duration) {
        if let Some(Working { life: Life::Ending(KillAt::At(at)), .. }) = &mut self.job {
            *at += time;
        }
        if let Some(mark) = &mut self.mark {
            *mark += time;
        }
        if let Some(streak) = &mut self.streak {
            streak.shift(time);
        }
        if let Some((pause, _)) = &mut self.pause {
            pause.shift(time);
        }
    }

    /// Records that a run or command started or ended: files written from now on may be its work.
    pub fn mark(&mut self, now: Time) {
        self.mark = Some(now);
    }

    /// Prepares for the next run, which reads every file anyway, so pending signals are dropped.
    pub fn begin_run(&mut self, debugged: bool) {
        self.signals.clear();
        self.hold_told = false;
        if !debugged {
            self.due.append(&mut self.held);
        }
    }

    /// Defers everything until the service is back in run mode.
    pub fn hold(&mut self) {
        self.interrupt();
        let failed = std::mem::take(&mut self.failed);
        self.held.extend(failed.into_iter().map(|(place, (path, _))| (place, path)));
        self.held.append(&mut self.due);
        (self.swap, self.revive, self.during) = (None, None, None);
        self.later.clear();
        self.signals.clear();
        self.spoiled = false;
    }

    /// Forgets all changes, because the service was stopped.
    pub fn forget(&mut self) {
        self.interrupt();
        let Saves { job, mark, .. } = std::mem::take(self);
        (self.job, self.mark) = (job, mark);
    }

    /// Resets loop detection after a user action.
    pub fn trust(&mut self) {
        self.streak = None;
        self.pause = None;
    }

    /// Marks the running command as unwanted. Its work stays queued.
    pub fn interrupt(&mut self) {
        if let Some(working) = self.job.as_mut().filter(|working| working.life == Life::Useful) {
            working.life = Life::Unwanted;
            self.due.entry(working.place).or_insert_with(|| working.path.clone());
        }
    }

    /// Orders the running command to stop, or kills it.
    pub fn stop(&mut self, kill: KillAt, effects: &mut Vec<Effect>) {
        let Some(working) = &mut self.job else { return };
        match working.life {
            Life::Useful | Life::Unwanted => {
                effects.push(match kill {
                    KillAt::At(_) | KillAt::Held(_) | KillAt::Never => Effect::StopJob(working.job),
                    KillAt::Ordered => Effect::KillJob(working.job),
                });
                working.life = Life::Ending(kill);
            }
            Life::Ending(KillAt::At(_) | KillAt::Never) if kill == KillAt::Ordered => {
                effects.push(Effect::KillJob(working.job));
                working.life = Life::Ending(kill);
            }
            Life::Ending(_) => {}
        }
    }

    /// Kills a stopping command whose grace period is over.
    pub fn expire(&mut self, now: Time, effects: &mut Vec<Effect>) {
        if self.deadline().is_some_and(|at| at <= now) {
            self.stop(KillAt::Ordered, effects);
        }
    }
}
