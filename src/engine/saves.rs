use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::Effect;
use super::input::Job;
use super::slot::{KillAt, Time};
use super::streak::{Pause, Streak};
use crate::model::Message;

/// What saved files have brought about in one service, and are still to.
///
/// Files that are saved together make a round: their commands run one after the other, in the order of the
/// watches, then the restart or the signal follows. What is saved meanwhile joins the round, so that the command
/// that runs is never doubled, and the last one has seen everything.
#[derive(Debug, Clone, Default)]
pub(super) struct Saves {
    /// The commands to run, by the place of their watch, with the file that was saved.
    pub due: BTreeMap<usize, PathBuf>,
    pub job: Option<Working>,
    /// The service is to be restarted at the end of the round.
    pub swap: Option<PathBuf>,
    /// It is to be started at the end of the round if it is not running.
    pub revive: Option<PathBuf>,
    /// The signals that follow at the end of the round.
    pub later: BTreeMap<i32, PathBuf>,
    /// The signals that the run is to get as soon as it can stand them.
    pub signals: BTreeMap<i32, PathBuf>,
    /// What has to go before the restart has failed in this round.
    pub spoiled: bool,
    /// Why the last command of a watch failed, by its place, with the file it was for.
    pub failed: BTreeMap<usize, (PathBuf, Message)>,
    /// When something began or came to an end that may have written files: a run, a command, a signal.
    pub mark: Option<Time>,
    /// A change while a command runs: whether that wrote it is known when it ends.
    pub during: Option<(Time, PathBuf)>,
    /// The commands that are due when the service is back in run mode, by the place of their watch.
    pub held: BTreeMap<usize, PathBuf>,
    /// Whether it was told that saves are held, of the current run.
    pub hold_told: bool,
    pub streak: Option<Streak>,
    pub pause: Option<(Pause, Message)>,
}

/// A command that runs.
#[derive(Debug, Clone)]
pub(super) struct Working {
    pub job: Job,
    /// The place of its watch.
    pub place: usize,
    pub path: PathBuf,
    pub began: Time,
    pub life: Life,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    /// Its result counts.
    Useful,
    /// Nobody wants its result any more.
    Unwanted,
    /// It was told to end.
    Ending(KillAt),
}

impl Saves {
    /// Whether a command runs, or something of it is left.
    pub fn is_working(&self) -> bool {
        self.job.is_some()
    }

    /// What people should know.
    pub fn message(&self) -> Option<&Message> {
        let failed = self.failed.values().map(|(_, message)| message);
        let paused = self.pause.as_ref().map(|(_, message)| message);
        failed.into_iter().next().or(paused)
    }

    /// When something is due.
    pub fn deadline(&self) -> Option<Time> {
        match self.job.as_ref()?.life {
            Life::Ending(KillAt::At(at)) => Some(at),
            Life::Ending(KillAt::Held(_) | KillAt::Ordered | KillAt::Never)
            | Life::Useful
            | Life::Unwanted => None,
        }
    }

    /// Nobody lived through this time.
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

    /// A run began or ended: what is written from now on may be its work.
    pub fn mark(&mut self, now: Time) {
        self.mark = Some(now);
    }

    /// The next run reads everything anew: no signal for the one before. In run mode what was held is due.
    pub fn begin_run(&mut self, debugged: bool) {
        self.signals.clear();
        self.hold_told = false;
        if !debugged {
            self.due.append(&mut self.held);
        }
    }

    /// The service is to be debugged: nothing follows from saves until it is back in run mode.
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

    /// The service was stopped: nothing follows any more from what was saved before.
    pub fn forget(&mut self) {
        self.interrupt();
        let Saves { job, mark, .. } = std::mem::take(self);
        (self.job, self.mark) = (job, mark);
    }

    /// A person took care of the service: nothing that was suspected of it holds any more.
    pub fn trust(&mut self) {
        self.streak = None;
        self.pause = None;
    }

    /// Ends the command that runs. What it was for stays due.
    pub fn interrupt(&mut self) {
        if let Some(working) = self.job.as_mut().filter(|working| working.life == Life::Useful) {
            working.life = Life::Unwanted;
            self.due.entry(working.place).or_insert_with(|| working.path.clone());
        }
    }

    /// Orders the end of the command.
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

    /// Kills a command that was told to end and had its time.
    pub fn expire(&mut self, now: Time, effects: &mut Vec<Effect>) {
        if self.deadline().is_some_and(|at| at <= now) {
            self.stop(KillAt::Ordered, effects);
        }
    }
}
