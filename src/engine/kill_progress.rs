//! The end of a run or command that does not end by itself, and what if even SIGKILL does not help.

use std::time::Duration;

use super::effect::KilledTree;
use super::failure::{ServiceFailure, TreeOf};
use super::service_state::{EngineTime, ServiceState};
use super::{Effect, Engine};
use crate::model::{EventKind, Name, Survivor};

/// What is alive this long after SIGKILL, which takes milliseconds, hangs in the kernel.
pub const KILL_TIMEOUT: Duration = Duration::from_secs(5);

/// Within this time the guard kills what outlives a main process that exited on its own.
const KEEPER_GRACE: Duration = Duration::from_secs(1);

/// How far the end of what is left of a run or command is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum KillProgress {
    /// It is killed then.
    At(EngineTime),
    /// Not by time, because it is being debugged; when to notify the user, unless already done.
    Debugging(Option<EngineTime>),
    /// It was killed. What is left of it then is inspected.
    Ordered { gone_by: EngineTime },
    /// It exited on its own, and the guard ends the rest. What is left then is inspected.
    ByKeeper { gone_by: EngineTime },
    /// It is not gone in time; what is left of it is being inspected.
    Overdue,
    /// This was left of it. Nothing more can be done than wait.
    Survived(Vec<Survivor>),
    /// Nothing is left of it.
    NotNeeded,
}

impl KillProgress {
    pub fn ordered(now: EngineTime) -> KillProgress {
        KillProgress::Ordered { gone_by: now + KILL_TIMEOUT }
    }

    /// The end of what outlives a main process that has just exited on its own.
    pub fn by_guard(now: EngineTime) -> KillProgress {
        KillProgress::ByKeeper { gone_by: now + KEEPER_GRACE + KILL_TIMEOUT }
    }

    /// When it goes on by itself.
    pub fn deadline(&self) -> Option<EngineTime> {
        match self {
            KillProgress::At(at)
            | KillProgress::Debugging(Some(at))
            | KillProgress::Ordered { gone_by: at }
            | KillProgress::ByKeeper { gone_by: at } => Some(*at),
            KillProgress::Debugging(None)
            | KillProgress::Overdue
            | KillProgress::Survived(_)
            | KillProgress::NotNeeded => None,
        }
    }

    /// Postpones its deadline by a suspension of the machine.
    pub fn shift(&mut self, time: Duration) {
        match self {
            KillProgress::At(at)
            | KillProgress::Debugging(Some(at))
            | KillProgress::Ordered { gone_by: at }
            | KillProgress::ByKeeper { gone_by: at } => *at += time,
            KillProgress::Debugging(None)
            | KillProgress::Overdue
            | KillProgress::Survived(_)
            | KillProgress::NotNeeded => {}
        }
    }

    /// Moves on once it is not gone in time. True when what is left must be inspected.
    pub fn becomes_overdue(&mut self, now: EngineTime) -> bool {
        let due = match self {
            KillProgress::Ordered { gone_by } | KillProgress::ByKeeper { gone_by } => {
                *gone_by <= now
            }
            KillProgress::At(_)
            | KillProgress::Debugging(_)
            | KillProgress::Overdue
            | KillProgress::Survived(_)
            | KillProgress::NotNeeded => false,
        };
        if due {
            *self = KillProgress::Overdue;
        }
        due
    }

    /// What survived the kill, once that is known.
    pub fn survivors(&self) -> Option<&[Survivor]> {
        match self {
            KillProgress::Survived(left) => Some(left),
            KillProgress::At(_)
            | KillProgress::Debugging(_)
            | KillProgress::Ordered { .. }
            | KillProgress::ByKeeper { .. }
            | KillProgress::Overdue
            | KillProgress::NotNeeded => None,
        }
    }
}

impl Engine {
    /// Takes note of what is left of a tree although it was killed.
    pub(super) fn survived(
        &mut self,
        tree: KilledTree,
        left: Vec<Survivor>,
        effects: &mut Vec<Effect>,
    ) {
        match tree {
            KilledTree::Run(run) => {
                let kill = self.live_run_mut(run).and_then(|live| live.kill_mut());
                if let Some(kill) = kill.filter(|kill| **kill == KillProgress::Overdue) {
                    *kill = KillProgress::Survived(left);
                }
            }
            KilledTree::Job(job) => {
                let mut states = self.services.values_mut();
                if let Some(state) = states.find(|state| state.saves.runs_job(job)) {
                    state.job_survived(left, effects);
                }
            }
        }
    }

    /// Returns the services of which something is left that cannot be stopped.
    pub(super) fn unstoppable(&self) -> Vec<(Name, ServiceFailure)> {
        let found = self.services.iter();
        found.filter_map(|(name, state)| Some((name.clone(), state.unstoppable()?))).collect()
    }
}

impl ServiceState {
    /// Why something of it cannot be stopped, once that is known.
    pub fn unstoppable(&self) -> Option<ServiceFailure> {
        let run = self.live().and_then(|run| run.unstoppable());
        run.or_else(|| {
            let survivors = self.saves.kill()?.survivors()?.to_vec();
            Some(ServiceFailure::Unstoppable { tree: TreeOf::WatchCommand, survivors })
        })
    }

    /// Whether something of it runs whose end is worth waiting for.
    pub fn ends_yet(&self) -> bool {
        let run = self.live().is_some_and(|run| run.unstoppable().is_none());
        let job = || self.saves.kill().is_none_or(|kill| kill.survivors().is_none());
        run || (self.saves.is_working() && job())
    }

    /// Reports that its watch command cannot be stopped.
    fn job_survived(&mut self, left: Vec<Survivor>, effects: &mut Vec<Effect>) {
        if !self.saves.survives(left.clone()) {
            return;
        }
        let failure = ServiceFailure::Unstoppable { tree: TreeOf::WatchCommand, survivors: left };
        let message = failure.message(&self.service.name);
        self.saves.fail_job(message.clone());
        self.emit(EventKind::Note(message), effects);
    }
}
