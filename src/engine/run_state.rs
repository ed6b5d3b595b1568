//! What a service is doing, and what is known of its run.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::failure::{ServiceFailure, TreeOf};
use super::kill_progress::KillProgress;
use super::service_state::EngineTime;
use crate::model::{
    Cause, ListenAddress, Message, OnExit, Phase, Probe, ProcessExit, RunId, Service,
};

/// A program without readiness probes that runs for longer has opened its ports.
const BINDS_WITHIN: Duration = Duration::from_secs(60);

/// What a service is doing. Each state carries its own deadlines.
#[derive(Debug, Clone)]
pub(super) enum RunState {
    /// Nothing runs.
    Idle,
    /// A run has or may have live processes.
    Live(LiveRun),
    /// The next start is delayed.
    BackingOff { until: EngineTime, cause: Cause },
    /// Another process has one of its ports; it waits for a different one.
    AwaitingPort { lost: Message },
    /// It is finished and does not start again unless something changes.
    Finished(ServiceOutcome),
}

/// How a service finished for good.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ServiceOutcome {
    Done(ProcessExit),
    Failed(ServiceFailure),
}

/// A run that has or may have live processes.
#[derive(Debug, Clone)]
pub(super) struct LiveRun {
    /// The pid of its main process. `None`: not reported yet, or exited.
    pub pid: Option<u32>,
    pub stage: RunStage,
    pub facts: Box<RunFacts>,
}

/// How far a live run is.
#[derive(Debug, Clone)]
pub(super) enum RunStage {
    /// Its spawn was ordered.
    Launching { cause: Cause },
    /// Running, not ready.
    Starting {
        spawned: EngineTime,
        /// When it is late; `None`: no limit.
        ready_by: Option<EngineTime>,
    },
    /// Running and still probed, but not ready in time.
    Late { spawned: EngineTime, failure: ServiceFailure },
    /// Running and ready.
    Ready { since: EngineTime, cause: Cause },
    /// Running and was ready, but its health probes fail.
    Unhealthy { failure: ServiceFailure },
    /// A stop or kill was ordered.
    Stopping { cause: Cause, kill: KillProgress },
    /// Its main process exited; other processes of its tree or unread output remain.
    Draining { exit: ProcessExit, verdict: ExitVerdict, kill: KillProgress },
}

/// What is known of a run. Kept after its end until the next run starts.
#[derive(Debug, Clone)]
pub(super) struct RunFacts {
    pub id: RunId,
    /// The definition it was started with.
    pub service: Arc<Service>,
    /// When its process was spawned; `None`: not reported.
    pub spawned_at: Option<EngineTime>,
    pub time_to_ready: Option<Duration>,
    /// How long its main process lived; `None`: it lives, or that is not known.
    pub lived: Option<Duration>,
    /// What its failing readiness probe last saw.
    pub probe_failure: Option<String>,
    /// Whether it restarts its program itself when files change.
    pub reloads_itself: bool,
    /// A note for the user.
    pub note: Option<Message>,
    pub debugger: DebuggerState,
    /// Where it is listening; `None`: unknown.
    pub listening: Option<Vec<ListenAddress>>,
    /// Warnings about where it is listening.
    pub warnings: Vec<Message>,
}

/// Whether the debugger of a run is listening.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DebuggerState {
    /// Not checked.
    Unknown,
    /// Not yet; when the user is notified.
    Awaited(EngineTime),
    /// It is listening.
    Seen,
    /// Not listening for so long that the user was notified. Still checked.
    Missed,
}

/// How a run is judged once its main process has exited.
#[derive(Debug, Clone)]
pub(super) enum ExitVerdict {
    Requested,
    /// Exited on its own with a success code.
    Expected(ProcessExit),
    /// Exited on its own otherwise.
    Unexpected(ProcessExit),
    /// Stopped because it was unhealthy, which counts as a crash.
    Unhealthy(ProcessExit),
    /// Stopped because another process has one of its ports.
    PortLost(Message),
    /// Nothing of it is left; an investigation decides whether it is to blame.
    Undecided(ProcessExit),
}

impl RunFacts {
    /// Whether it listens on `port`, as far as is known.
    pub fn listens_on(&self, port: u16) -> Option<bool> {
        let listening = self.listening.as_ref()?.iter();
        Some(listening.filter_map(|at| at.tcp()).any(|address| address.port() == port))
    }

    /// Returns where clients reach what it is listening on; `None`: unknown. The inner port of a
    /// lazy service is reached through its door.
    pub fn reachable_at(&self) -> Option<Vec<ListenAddress>> {
        let inner = self.service.own_ports().first().map(|port| port.number);
        let door = self.service.door().map(ListenAddress::Tcp);
        let behind = |at: &ListenAddress| at.tcp().map(|at| at.port()) == inner;
        let listening = self.listening.as_ref()?.iter();
        let mut places: Vec<_> = listening
            .map(|at| door.as_ref().filter(|_| behind(at)).unwrap_or(at).clone())
            .collect();
        places.dedup();
        Some(places)
    }

    /// Returns a port that its readiness needed and that it does not listen on, as far as is known.
    pub fn missing_port(&self) -> Option<u16> {
        self.service.ready.probes.iter().find_map(|probe| match probe {
            Probe::Tcp { port } | Probe::Http { own_port: Some(port), .. } => {
                (self.listens_on(*port) == Some(false)).then_some(*port)
            }
            Probe::Http { own_port: None, .. }
            | Probe::Log { .. }
            | Probe::Exec { .. }
            | Probe::Delay { .. }
            | Probe::Notify
            | Probe::Healthcheck { .. } => None,
        })
    }
}

impl LiveRun {
    pub fn new(id: RunId, service: Arc<Service>, cause: Cause) -> LiveRun {
        let facts = RunFacts {
            id,
            service,
            spawned_at: None,
            time_to_ready: None,
            lived: None,
            probe_failure: None,
            reloads_itself: false,
            note: None,
            debugger: DebuggerState::Unknown,
            listening: None,
            warnings: Vec::new(),
        };
        LiveRun { pid: None, stage: RunStage::Launching { cause }, facts: Box::new(facts) }
    }

    /// Whether no stop was ordered and its main process has not exited.
    pub fn is_up(&self) -> bool {
        match self.stage {
            RunStage::Launching { .. }
            | RunStage::Starting { .. }
            | RunStage::Late { .. }
            | RunStage::Ready { .. }
            | RunStage::Unhealthy { .. } => true,
            RunStage::Stopping { .. } | RunStage::Draining { .. } => false,
        }
    }

    /// Whether it was started in debug mode.
    pub fn in_debug_mode(&self) -> bool {
        self.facts.service.mode.is_debug()
    }

    /// How far its end is; `None`: it is up.
    pub fn kill(&self) -> Option<&KillProgress> {
        let (RunStage::Stopping { kill, .. } | RunStage::Draining { kill, .. }) = &self.stage
        else {
            return None;
        };
        Some(kill)
    }

    pub fn kill_mut(&mut self) -> Option<&mut KillProgress> {
        let (RunStage::Stopping { kill, .. } | RunStage::Draining { kill, .. }) = &mut self.stage
        else {
            return None;
        };
        Some(kill)
    }

    /// Why it cannot be stopped, once that is known.
    pub fn unstoppable(&self) -> Option<ServiceFailure> {
        let survivors = self.kill()?.survivors()?.to_vec();
        Some(ServiceFailure::Unstoppable { tree: TreeOf::Service, survivors })
    }

    pub fn phase(&self) -> (Phase, Cow<'_, Cause>) {
        if let Some(failure) = self.unstoppable() {
            let message = failure.message(&self.facts.service.name);
            return (Phase::Failed, Cow::Owned(Cause::Failed(message)));
        }
        match &self.stage {
            RunStage::Launching { cause } => (Phase::Starting, Cow::Borrowed(cause)),
            RunStage::Starting { .. } => {
                let pid = self.pid.unwrap_or_default();
                (Phase::Starting, Cow::Owned(Cause::Spawned { pid }))
            }
            RunStage::Late { failure, .. } | RunStage::Unhealthy { failure } => {
                let message = failure.message(&self.facts.service.name);
                (Phase::Unhealthy, Cow::Owned(Cause::Failed(message)))
            }
            RunStage::Ready { cause, .. } => (Phase::Ready, Cow::Borrowed(cause)),
            RunStage::Stopping { cause, .. } => (Phase::Stopping, Cow::Borrowed(cause)),
            RunStage::Draining { exit, .. } => (Phase::Stopping, Cow::Owned(Cause::Exited(*exit))),
        }
    }

    /// Whether it may have exited because it lost a port before it was ready, or before its
    /// debugger was. A port that devstack does not know may be missing as well.
    pub fn may_have_lost_port(&self) -> bool {
        let RunFacts { service, time_to_ready, lived, debugger, .. } = &*self.facts;
        let unready = time_to_ready.is_none();
        if service.ports.is_empty() {
            let unproven = unready || service.ready.probes.is_empty();
            let soon = lived.is_none_or(|lived| lived < BINDS_WITHIN);
            return unproven && soon && service.on_exit != OnExit::Shutdown;
        }
        unready || (self.in_debug_mode() && *debugger != DebuggerState::Seen)
    }

    /// Postpones deadlines by a suspension of the machine.
    pub fn shift(&mut self, time: Duration) {
        if let DebuggerState::Awaited(at) = &mut self.facts.debugger {
            *at += time;
        }
        match &mut self.stage {
            RunStage::Starting { spawned, ready_by, .. } => {
                *spawned += time;
                if let Some(by) = ready_by {
                    *by += time;
                }
            }
            RunStage::Late { spawned, .. } => *spawned += time,
            RunStage::Ready { since, .. } => *since += time,
            RunStage::Stopping { kill, .. } | RunStage::Draining { kill, .. } => kill.shift(time),
            RunStage::Launching { .. } | RunStage::Unhealthy { .. } => {}
        }
    }
}
