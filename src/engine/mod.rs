//! The pure state machine behind every decision devstack makes. It reads no clock, touches no file
//! and knows no process: time and everything that happens are parameters.
//!
//! [`Engine::step`] always makes the same moves: *absorb* the inputs into the state without
//! deciding anything, *stop* what must not run, *start* what should run, and *emit* what changed.
//! Stopping and starting look only at the present state, so a new kind of input needs no new cases
//! there.

mod absorb;
mod apply;
mod debug;
mod effect;
mod emit;
mod exit;
mod explain;
mod failure;
mod failure_text;
mod held_restart;
mod history;
mod idle;
mod input;
mod kill_progress;
mod lazy;
mod on_change;
mod port_loss;
mod reconcile;
mod requests;
mod run_state;
mod service_state;
mod start_order;
#[cfg(test)]
mod tests;
mod view;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

pub use effect::{Effect, KilledTree};
pub use failure::{RequestError, ServiceFailure, TreeOf};
pub use failure_text::unstoppable;
pub use input::{
    ExitBlame, Input, JobId, Selection, ShutdownMode, StartObstacle, Ticket, WhenIdle,
};
pub use kill_progress::KILL_TIMEOUT;
pub use lazy::Door;
pub use service_state::EngineTime;

use emit::{StackOutlook, StartOutcome};

use crate::model::{Cause, EventKind, Name, RunId, Service, ServiceView, Stack, StackState};
use requests::{PendingRequest, RequestGoal};
use run_state::{LiveRun, RunStage, RunState};
use service_state::ServiceState;

/// A service that stays ready this long is stable: earlier exits no longer count.
const STABLE_AFTER: Duration = Duration::from_secs(10);

/// After a crash, a service counts as ready only once it has lived this long.
const PROVEN_AFTER: Duration = Duration::from_secs(2);

/// How long a service that has opened other ports may take to open its own.
const ELSEWHERE_FOR: Duration = Duration::from_secs(10);

/// The default of `ready.timeout` for a service that is not built first.
const USUAL_READY_TIMEOUT: Duration = Duration::from_secs(60);

/// How long `wait` and `up -d` look at a service without readiness probes before they believe in it.
const FIRST_LOOK: Duration = Duration::from_secs(1);

/// How often a start that a change caused is tried: whatever the change broke needs another change.
const MAX_STARTS_AFTER_CHANGE: u32 = 3;

/// How often a port is looked at that closed connections keep for up to a minute.
const LINGER_INTERVAL: Duration = Duration::from_secs(1);

/// Limits restarts after a back-off, so a stack that crashes as a whole leaves the machine usable.
const MAX_RESTARTS_PER_SECOND: usize = 20;

/// A graceful shutdown turns into a kill after this long; CI runners wait no longer either.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(30);

/// The state machine; see the module documentation.
pub struct Engine {
    stack: Option<Arc<Stack>>,
    /// What `up` was asked to start, with the present names of its services; `None`: everything
    /// with `autostart`.
    selection: Option<Selection>,
    services: BTreeMap<Name, ServiceState>,
    /// Dependencies before dependents.
    order: Vec<Name>,
    runs: BTreeMap<RunId, Name>,
    next_run: u64,
    /// Number of watch jobs started so far.
    last_job: u64,
    shutdown: Option<ShutdownState>,
    requests: Vec<PendingRequest>,
    start: StartOutcome,
    /// Whether the start is over only once services without readiness probes have had time to
    /// crash, and good only if none has exited.
    cautious_start: bool,
    /// Whether an apply has changed something. Until then no service can be on another's port.
    applied_once: bool,
    /// Services with ports that were inspected in this step, and that no other process has.
    clear_ports: BTreeSet<Name>,
    /// Whether this step ends the stack, because nothing runs and nothing is waited for.
    ends: bool,
    /// What was last reported about a stack in which nothing runs.
    reported_idle: Option<String>,
    /// Whether files are still changing after the last reported changes.
    files_changing: bool,
    /// State of the whole stack at the end of the last step.
    outlook: StackOutlook,
    /// When services restarted after a back-off, within the last second.
    recent_restarts: VecDeque<EngineTime>,
    halted: bool,
    when_idle: WhenIdle,
}

/// Services that cannot start because a dependency has failed, with the root cause.
type BlockedServices = BTreeMap<Name, ServiceFailure>;

/// A shutdown in progress.
#[derive(Debug, Clone)]
struct ShutdownState {
    /// Always [`Cause::Shutdown`]; the cause of every idle service during the shutdown.
    why: Cause,
    code: i32,
    haste: ShutdownMode,
    cap: EngineTime,
    reported: bool,
}

impl Engine {
    /// Creates an engine without a stack. `selection` is what `up` was asked to start; `None`:
    /// everything with `autostart`.
    pub fn new(selection: Option<Selection>, when_idle: WhenIdle) -> Engine {
        Engine {
            stack: None,
            selection,
            services: BTreeMap::new(),
            order: Vec::new(),
            runs: BTreeMap::new(),
            next_run: 1,
            last_job: 0,
            shutdown: None,
            requests: Vec::new(),
            start: StartOutcome::UnderWay,
            cautious_start: false,
            applied_once: false,
            clear_ports: BTreeSet::new(),
            ends: false,
            reported_idle: None,
            files_changing: false,
            outlook: StackOutlook::default(),
            recent_restarts: VecDeque::new(),
            halted: false,
            when_idle,
        }
    }

    /// Lets the start be over only once services without readiness probes have had time to crash,
    /// for a client that takes it as the result.
    pub fn start_cautiously(&mut self) {
        self.cautious_start = true;
    }

    /// Absorbs all inputs in order, then decides once and returns the effects to carry out.
    pub fn step(
        &mut self,
        now: EngineTime,
        inputs: impl IntoIterator<Item = Input>,
    ) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.halted {
            return effects;
        }
        for input in inputs {
            self.absorb(now, input, &mut effects);
        }
        self.expire(now, &mut effects);
        self.stop_unwanted(now, &mut effects);
        self.start_wanted(now, &mut effects);
        self.emit_changes(now, &mut effects);
        effects
    }

    /// Returns when [`Engine::step`] must be called even if nothing happens.
    pub fn next_deadline(&self) -> Option<EngineTime> {
        let slots = self.services.values();
        let slots = slots
            .flat_map(|state| [state.deadline(), state.saves.deadline(), state.debugger_deadline()])
            .flatten();
        let cap = self.shutdown.as_ref().filter(|ending| ending.haste == ShutdownMode::Polite);
        let asked = |one: &PendingRequest| matches!(one.goal, RequestGoal::Until(_));
        let looked_at = self.requests.iter().any(asked)
            || (self.cautious_start && self.start != StartOutcome::Done);
        let looks = self.services.values().filter_map(|state| state.believed_at);
        let looks = looks.filter(|_| looked_at);
        slots.chain(cap.map(|ending| ending.cap)).chain(looks).min()
    }

    /// Returns the current view of every service; `date` formats `since`.
    pub fn views(&self, date: impl Fn(EngineTime) -> String) -> Vec<ServiceView> {
        let blocked = self.blocked_services();
        self.services.iter().map(|(name, state)| self.view(name, state, &blocked, &date)).collect()
    }

    /// Returns the current view of one service; `date` formats `since`.
    pub fn view_of(&self, name: &Name, date: impl Fn(EngineTime) -> String) -> Option<ServiceView> {
        let state = self.services.get(name)?;
        let blocked = match state.live() {
            Some(_) => BlockedServices::new(),
            None => self.blocked_services(),
        };
        Some(self.view(name, state, &blocked, date))
    }

    /// Returns the state of the whole stack.
    pub fn stack_state(&self) -> StackState {
        match (&self.shutdown, self.services.values().any(ServiceState::is_live)) {
            (Some(_), true) => StackState::Stopping,
            (Some(_), false) => StackState::Stopped,
            (None, _) => self.outlook.stack_state(),
        }
    }

    /// Returns the current stack; `None`: none was applied yet.
    pub fn stack(&self) -> Option<&Arc<Stack>> {
        self.stack.as_ref()
    }

    /// Returns what `up` was asked to start, with the present names of its services; `None`:
    /// everything with `autostart`.
    pub fn selection(&self) -> Option<&Selection> {
        self.selection.as_ref()
    }

    /// Whether a shutdown has begun; nothing is applied after that.
    pub fn is_ending(&self) -> bool {
        self.shutdown.is_some()
    }

    /// Whether something is left that cannot be killed.
    pub fn has_survivors(&self) -> bool {
        !self.unstoppable().is_empty()
    }

    /// Returns the service of a live run.
    pub fn service_of(&self, run: RunId) -> Option<&Name> {
        self.runs.get(&run)
    }

    /// Whether a spawn, or an inspection of ports before it, was ordered and has not been reported
    /// on yet.
    pub fn has_pending_spawn(&self) -> bool {
        let pending = |state: &ServiceState| {
            matches!(state.stage(), Some(RunStage::Launching { .. })) || state.inspected.is_some()
        };
        self.services.values().any(pending)
    }

    /// Returns the services whose processes may hold their ports now.
    pub fn running(&self) -> BTreeSet<Name> {
        let live = self.services.iter().filter(|(_, state)| state.live().is_some());
        live.map(|(name, _)| name.clone()).collect()
    }

    /// Returns the services that should not run, and that no client starts either.
    pub fn unwanted(&self) -> BTreeSet<Name> {
        let unwanted =
            self.services.iter().filter(|(_, state)| !state.wanted() && !state.is_asleep());
        unwanted.map(|(name, _)| name.clone()).collect()
    }

    /// Returns the ports given to processes that may be alive.
    pub fn ports_in_use(&self) -> BTreeSet<u16> {
        let live = self.services.values().filter_map(ServiceState::live);
        live.flat_map(|run| run.facts.service.ports.iter().map(|port| port.number)).collect()
    }

    /// Returns the service of a live run, as it was started.
    pub fn launched_service(&self, run: RunId) -> Option<&Arc<Service>> {
        let live = self.services.get(self.runs.get(&run)?)?.live()?;
        (live.facts.id == run).then_some(&live.facts.service)
    }

    /// Returns a service as its live run was started, with that run, or as its next run will start.
    pub fn launched_or_next(&self, name: &Name) -> Option<(&Arc<Service>, Option<RunId>)> {
        let state = self.services.get(name)?;
        Some(match state.live() {
            Some(run) => (&run.facts.service, Some(run.facts.id)),
            None => (&state.service, None),
        })
    }

    /// Returns the services that connections may wait for: running and meant to stay, or about to
    /// start on their own. Excludes services that were stopped, gave up, or need a failed one.
    /// Empty during a shutdown.
    pub fn expected_services(&self) -> impl Iterator<Item = &Arc<Service>> {
        let blocked = self.blocked_services();
        let ending = self.shutdown.is_some();
        let awaited = move |service_state: &&ServiceState| {
            let over = matches!(service_state.state, RunState::Finished(_));
            !ending
                && service_state.wanted()
                && !over
                && !blocked.contains_key(&service_state.service.name)
        };
        self.services.values().filter(awaited).map(|service_state| &service_state.service)
    }

    fn live_run_mut(&mut self, run: RunId) -> Option<&mut LiveRun> {
        self.live_service_mut(run)?.live_mut()
    }

    fn live_service_mut(&mut self, run: RunId) -> Option<&mut ServiceState> {
        let state = self.services.get_mut(self.runs.get(&run)?)?;
        (state.live_run() == Some(run)).then_some(state)
    }
}

impl ServiceState {
    fn deadline(&self) -> Option<EngineTime> {
        match &self.state {
            RunState::Live(run) => match run.stage {
                RunStage::Starting { ready_by, .. } => ready_by,
                RunStage::Ready { since, .. } => {
                    let watched = !self.recent_exits.is_empty() || self.change.is_some();
                    watched.then_some(since + STABLE_AFTER)
                }
                RunStage::Stopping { ref kill, .. } | RunStage::Draining { ref kill, .. } => {
                    kill.deadline()
                }
                RunStage::Launching { .. } | RunStage::Late { .. } | RunStage::Unhealthy { .. } => {
                    None
                }
            },
            RunState::BackingOff { until, .. } => Some(*until),
            RunState::Idle | RunState::AwaitingPort { .. } | RunState::Finished(_) => None,
        }
    }
}
