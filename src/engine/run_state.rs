//! What a service is doing, and what is known of its run.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::failure::ServiceFailure;
use super::service_state::EngineTime;
use crate::model::{Cause, ListenAddress, Message, Phase, ProcessExit, RunId, Service};

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
    Stopping { cause: Cause, kill: KillDeadline },
    /// Its main process exited; other processes of its tree or unread output remain.
    Draining { exit: ProcessExit, verdict: ExitVerdict, kill: KillDeadline },
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
    /// What its failing readiness probe last saw.
    pub probe_failure: Option<String>,
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

/// When the remains of a run are killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KillDeadline {
    At(EngineTime),
    /// Not by time, because it is being debugged; when to notify the user, unless already done.
    Debugging(Option<EngineTime>),
    Ordered,
    /// The executor cleans up the rest on its own.
    NotNeeded,
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

impl LiveRun {
    pub fn new(id: RunId, service: Arc<Service>, cause: Cause) -> LiveRun {
        let facts = RunFacts {
            id,
            service,
            spawned_at: None,
            time_to_ready: None,
            probe_failure: None,
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

    pub fn phase(&self) -> (Phase, Cow<'_, Cause>) {
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

    /// Whether it may have exited because it lost a port before it was ready.
    pub fn may_have_lost_port(&self) -> bool {
        self.facts.time_to_ready.is_none() && !self.facts.service.ports.is_empty()
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
            RunStage::Stopping { kill, .. } | RunStage::Draining { kill, .. } => match kill {
                KillDeadline::At(at) | KillDeadline::Debugging(Some(at)) => *at += time,
                KillDeadline::Debugging(None) | KillDeadline::Ordered | KillDeadline::NotNeeded => {
                }
            },
            RunStage::Launching { .. } | RunStage::Unhealthy { .. } => {}
        }
    }
}
