use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::held_restart::HeldRestart;
use super::history::RunHistory;
use super::on_change::WatchActions;
use super::run_state::{ExitVerdict, LiveRun, RunFacts, RunStage, RunState};
use super::{Effect, PROVEN_AFTER};
use crate::model::{Cause, Message, Name, Phase, Probe, ProcessExit, RunId, Service};

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
    /// The name that continues it, if it was not removed but renamed.
    pub renamed_to: Option<Name>,
    /// Where its data is from the time when it had another name, until its next start.
    pub former_data: Option<PathBuf>,
    pub state: RunState,
    /// The last run that ended.
    pub last_run: Option<RunFacts>,
    /// Itself as it was when an inspection of its ports was ordered that is under way.
    pub inspected: Option<Arc<Service>>,
    /// Why the current run must stop and another must follow.
    pub pending_restart: Option<Cause>,
    /// A restart that waits until the dependencies are what it needs; the current run goes on.
    pub held_restart: Option<HeldRestart>,
    /// Why the next run starts, if not for the reason that the service is wanted.
    pub start_cause: Option<Cause>,
    /// Recent exits that were not requested, oldest first. Cleared after `STABLE_AFTER`.
    pub recent_exits: Vec<RecentExit>,
    /// Whether it crashed and has not been ready since.
    pub crashed: bool,
    /// The change that led to its last start, until it is stable; a path as it is shown.
    pub change: Option<Cause>,
    /// When a ready run has lived long enough for `wait` and `up -d`; `None`: it has.
    pub believed_at: Option<EngineTime>,
    /// How often in a row it lost a port before it was ready.
    pub port_losses: u32,
    /// Whether its last run insisted on a port that it was not given.
    pub insisted: bool,
    /// A port that its last run could not bind because of closed connections.
    pub lingering: Option<u16>,
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
    /// It should run as soon as a client or a dependent needs it; why it would run.
    Asleep(Cause),
    /// It should run; why.
    Yes(Cause),
}

impl DesiredState {
    pub fn is_yes(&self) -> bool {
        matches!(self, DesiredState::Yes(_))
    }
}

impl ServiceState {
    pub fn new(service: Arc<Service>, want: DesiredState, now: EngineTime) -> ServiceState {
        ServiceState {
            service,
            desired: want,
            renamed_from: None,
            renamed_to: None,
            former_data: None,
            state: RunState::Idle,
            last_run: None,
            inspected: None,
            pending_restart: None,
            held_restart: None,
            start_cause: None,
            recent_exits: Vec::new(),
            crashed: false,
            change: None,
            believed_at: None,
            port_losses: 0,
            insisted: false,
            lingering: None,
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
        self.desired.is_yes()
    }

    pub fn is_asleep(&self) -> bool {
        matches!(self.desired, DesiredState::Asleep(_))
    }

    /// Lets it start, if it is asleep.
    pub fn wake(&mut self, cause: Cause) {
        if let DesiredState::Asleep(why) = &self.desired {
            self.desired = DesiredState::Yes(why.clone());
            self.start_cause = Some(cause);
        }
    }

    /// Returns it as its run is probed: after a crash it must last a while, too.
    pub fn as_probed(&self) -> Arc<Service> {
        let mut service = self.service.clone();
        if self.must_last() {
            let delay = Probe::Delay { delay: PROVEN_AFTER };
            Arc::make_mut(&mut service).ready.probes.push(delay);
        }
        service
    }

    fn must_last(&self) -> bool {
        self.crashed && !self.service.kind.is_task() && !self.service.mode.is_debug()
    }

    /// Returns until when its probes must succeed if they start now; `None`: there is no limit.
    pub fn ready_by(&self, now: EngineTime) -> Option<EngineTime> {
        let ready = &self.service.ready;
        let limited = !ready.probes.is_empty() && !self.service.mode.is_debug();
        let least = if self.must_last() { PROVEN_AFTER } else { Duration::ZERO };
        limited.then(|| now + least + ready.timeout)
    }

    /// Returns why it is no longer in the stack.
    pub fn removal(&self) -> Cause {
        self.renamed_to.clone().map_or(Cause::Removed, Cause::Renamed)
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
        (self.believed_at, self.held_restart) = (None, None);
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
        self.probe_health(effects);
    }

    /// Starts the readiness probes of the live run. A task without any is ready when it is done.
    pub fn probe_readiness(&self, effects: &mut Vec<Effect>) {
        let (Some(run), probed) = (self.live_run(), self.as_probed()) else { return };
        if !(probed.kind.is_task() && probed.ready.probes.is_empty()) {
            effects.push(Effect::StartReadyProbes(run, probed));
        }
    }

    /// Starts or stops the health probes of the live run.
    pub fn probe_health(&self, effects: &mut Vec<Effect>) {
        if let Some(run) = self.live().filter(|run| !run.in_debug_mode()) {
            effects.push(Effect::StartHealthProbes(run.facts.id, self.service.clone()));
        }
    }

    pub fn shift(&mut self, time: Duration) {
        for end in &mut self.recent_exits {
            end.at += time;
        }
        self.saves.shift(time);
        if let Some(at) = &mut self.believed_at {
            *at += time;
        }
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
