use std::sync::Arc;
use std::time::Duration;

use super::Effect;
use super::history::RunHistory;
use super::on_change::WatchActions;
use super::run_state::{ExitVerdict, LiveRun, RunFacts, RunStage, RunState};
use crate::model::{Cause, Message, Name, Phase, ProcessExit, RunId, Service};

/// Time since the supervisor started, from a monotonic clock.
pub type EngineTime = Duration;

/// Everything the engine knows about one service.
#[derive(Debug, Clone)]
pub(super) struct ServiceState {
    /// The current definition.
    pub service: Arc<Service>,
    pub desired: DesiredState,
    /// Its former name; it starts once nothing runs under that name.
    pub renamed_from: Option<Name>,
    pub state: RunState,
    /// The last run that ended.
    pub last_run: Option<RunFacts>,
    /// Itself as it was when an inspection of its ports was ordered that is under way.
    pub inspected: Option<Arc<Service>>,
    /// Why the current run must stop and another must follow.
    pub pending_restart: Option<Cause>,
    /// Why the next run starts, if not for the reason that the service is wanted.
    pub start_cause: Option<Cause>,
    /// Recent exits that were not requested, oldest first. Cleared after `STABLE_AFTER`.
    pub recent_exits: Vec<RecentExit>,
    /// How often in a row it lost a port before it was ready.
    pub port_losses: u32,
    /// How its last run exited.
    pub exit: Option<ProcessExit>,
    /// How many runs there were.
    pub runs: u32,
    /// The warnings last reported. Kept across restarts so that none is repeated.
    pub reported_warnings: Vec<Message>,
    pub saves: WatchActions,
    pub past: RunHistory,
    pub reported: Option<ReportedPhase>,
    /// When the reported phase began.
    pub since: EngineTime,
}

/// What was last reported of a service: its phase, why, and the live run.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ReportedPhase {
    pub phase: Phase,
    pub cause: Cause,
    pub run: Option<RunId>,
}

/// An exit that was not requested.
#[derive(Debug, Clone, Copy)]
pub(super) struct RecentExit {
    pub at: EngineTime,
    pub unexpected: bool,
}

/// Whether a service should run.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum DesiredState {
    /// Not requested.
    No,
    /// Stopped by the user; an apply does not start it.
    Stopped,
    /// No longer in the stack; its state is dropped once nothing of it is left.
    Removed,
    /// It should run; why.
    Yes(Cause),
}

impl ServiceState {
    pub fn new(service: Arc<Service>, want: DesiredState, now: EngineTime) -> ServiceState {
        ServiceState {
            service,
            desired: want,
            renamed_from: None,
            state: RunState::Idle,
            last_run: None,
            inspected: None,
            pending_restart: None,
            start_cause: None,
            recent_exits: Vec::new(),
            port_losses: 0,
            exit: None,
            runs: 0,
            reported_warnings: Vec::new(),
            saves: WatchActions::default(),
            past: RunHistory::default(),
            reported: None,
            since: now,
        }
    }

    pub fn wanted(&self) -> bool {
        match self.desired {
            DesiredState::Yes(_) => true,
            DesiredState::No | DesiredState::Stopped | DesiredState::Removed => false,
        }
    }

    /// Returns the run that has or may have live processes.
    pub fn live(&self) -> Option<&LiveRun> {
        match &self.state {
            RunState::Live(run) => Some(run),
            RunState::Idle
            | RunState::BackingOff { .. }
            | RunState::AwaitingPort { .. }
            | RunState::Finished(_) => None,
        }
    }

    pub fn live_mut(&mut self) -> Option<&mut LiveRun> {
        match &mut self.state {
            RunState::Live(run) => Some(run),
            RunState::Idle
            | RunState::BackingOff { .. }
            | RunState::AwaitingPort { .. }
            | RunState::Finished(_) => None,
        }
    }

    pub fn live_run(&self) -> Option<RunId> {
        self.live().map(|run| run.facts.id)
    }

    /// Returns how far its live run is.
    pub fn stage(&self) -> Option<&RunStage> {
        self.live().map(|run| &run.stage)
    }

    /// Returns what is known of its live run, or else of its last one.
    pub fn newest_run(&self) -> Option<&RunFacts> {
        self.live().map(|run| &*run.facts).or(self.last_run.as_ref())
    }

    /// Whether a run or a watch command of it may have live processes.
    pub fn is_live(&self) -> bool {
        self.live().is_some() || self.saves.is_working()
    }

    pub fn pid(&self) -> Option<u32> {
        self.live()?.pid
    }

    /// Ends the live run, of which nothing is left.
    pub fn end_run(&mut self, next: RunState) {
        if let RunState::Live(run) = std::mem::replace(&mut self.state, next) {
            self.last_run = Some(*run.facts);
        }
    }

    /// Ends a back-off or a finished state that a change or the user made pointless.
    pub fn clear_wait(&mut self) {
        match self.state {
            RunState::BackingOff { .. } | RunState::Finished(_) => {
                self.state = RunState::Idle;
                self.recent_exits.clear();
                self.port_losses = 0;
            }
            RunState::Idle | RunState::AwaitingPort { .. } | RunState::Live(_) => {}
        }
    }

    /// Replaces or stops the health probes, and their findings, after a configuration change.
    pub fn restart_health_probes(&mut self, now: EngineTime, effects: &mut Vec<Effect>) {
        let RunState::Live(run) = &mut self.state else { return };
        match run.stage {
            RunStage::Ready { .. } => {}
            RunStage::Unhealthy { .. } => {
                let cause = Cause::ConfigChanged("health changed".to_owned());
                run.stage = RunStage::Ready { since: now, cause };
            }
            RunStage::Launching { .. }
            | RunStage::Starting { .. }
            | RunStage::Late { .. }
            | RunStage::Stopping { .. }
            | RunStage::Draining { .. } => return,
        }
        if !run.in_debug_mode() {
            effects.push(Effect::StartHealthProbes(run.facts.id, self.service.clone()));
        }
    }

    pub fn shift(&mut self, time: Duration) {
        for end in &mut self.recent_exits {
            end.at += time;
        }
        self.saves.shift(time);
        match &mut self.state {
            RunState::Live(run) => run.shift(time),
            RunState::BackingOff { until, .. } => *until += time,
            RunState::Idle | RunState::AwaitingPort { .. } | RunState::Finished(_) => {}
        }
    }

    /// Requests a run that starts after now.
    pub fn restart_with(&mut self, cause: Cause) {
        self.start_cause = Some(cause.clone());
        match self.stage() {
            None => self.clear_wait(),
            // The current run is stopping already; the next one starts after now anyway.
            Some(
                RunStage::Stopping { .. }
                | RunStage::Draining {
                    verdict: ExitVerdict::Requested | ExitVerdict::PortLost(_),
                    ..
                },
            ) => {}
            // Exited on its own: this run must not be judged any more.
            Some(RunStage::Draining {
                verdict:
                    ExitVerdict::Expected(_)
                    | ExitVerdict::Unexpected(_)
                    | ExitVerdict::Unhealthy(_)
                    | ExitVerdict::Undecided(_),
                ..
            })
            | Some(
                RunStage::Launching { .. }
                | RunStage::Starting { .. }
                | RunStage::Late { .. }
                | RunStage::Ready { .. }
                | RunStage::Unhealthy { .. },
            ) => self.pending_restart = Some(cause),
        }
        self.recent_exits.clear();
    }
}
