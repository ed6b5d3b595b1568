use std::sync::Arc;
use std::time::Duration;

use super::Effect;
use super::history::RunHistory;
use super::watch_actions::WatchActions;
use crate::model::{Cause, ListenAddress, Message, Name, Phase, ProcessExit, RunId, Service};

/// Time since the supervisor started, from a monotonic clock.
pub type EngineTime = Duration;

/// Everything the engine knows about one service.
#[derive(Debug, Clone)]
pub(super) struct ServiceState {
    /// The current definition.
    pub service: Arc<Service>,
    /// The definition that the current or last run was started with.
    pub launched: Arc<Service>,
    pub desired: DesiredState,
    /// Its former name; it starts once nothing runs under that name.
    pub renamed_from: Option<Name>,
    pub state: RunState,
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
    /// How the last run exited.
    pub exit: Option<ProcessExit>,
    pub run: Option<RunId>,
    pub runs: u32,
    /// What the failing readiness probe of the current run last saw.
    pub probe_failure: Option<String>,
    /// A note for the user about the current run.
    pub note: Option<Message>,
    pub debugger: DebuggerState,
    /// Where the current run is listening; `None`: unknown.
    pub listening: Option<Vec<ListenAddress>>,
    /// Warnings about where the current run is listening.
    pub warnings: Vec<Message>,
    /// The warnings last reported. Kept across restarts so that none is repeated.
    pub reported_warnings: Vec<Message>,
    /// Time from spawn to ready of the current or last run.
    pub time_to_ready: Option<Duration>,
    pub saves: WatchActions,
    pub past: RunHistory,
    pub told: Option<ReportedPhase>,
    /// When the reported phase began.
    pub since: EngineTime,
}

/// What is reported of a service: its phase, why, and the live run.
pub(super) type ReportedPhase = (Phase, Cause, Option<RunId>);

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

/// What a service is doing. Each state carries its own deadlines.
#[derive(Debug, Clone)]
pub(super) enum RunState {
    /// Nothing runs.
    Idle,
    /// A spawn was ordered.
    Launching { run: RunId, why: Cause },
    /// Running, not ready.
    Starting {
        run: RunId,
        pid: u32,
        spawned: EngineTime,
        /// When it is late; `None`: no limit.
        ready_by: Option<EngineTime>,
    },
    /// Running and still probed, but not ready in time.
    Late { run: RunId, pid: u32, spawned: EngineTime, message: Message },
    /// Running and ready.
    Ready { run: RunId, pid: u32, at: EngineTime, cause: Cause },
    /// Running and was ready, but its health probes fail.
    Unwell { run: RunId, pid: u32, message: Message },
    /// A stop or kill was ordered.
    Stopping { run: RunId, pid: Option<u32>, why: Cause, kill: KillDeadline },
    /// Its main process exited; other processes of its tree or unread output remain.
    Draining { run: RunId, verdict: ExitVerdict, kill: KillDeadline },
    /// The next start is delayed.
    Backoff { until: EngineTime, cause: Cause },
    /// Another process has one of its ports; it waits for a different one.
    Displaced { message: Message },
    /// It is finished and does not start again unless something changes.
    Over(ServiceOutcome),
}

/// When the remains of a run are killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KillDeadline {
    At(EngineTime),
    /// Not by time, because it is being debugged; when to notify the user, unless already done.
    Held(Option<EngineTime>),
    Ordered,
    /// The executor cleans up the rest on its own.
    Never,
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

/// How a service finished for good.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ServiceOutcome {
    Done(ProcessExit),
    Failed(Message),
}

impl ServiceState {
    pub fn new(service: Arc<Service>, want: DesiredState, now: EngineTime) -> ServiceState {
        ServiceState {
            launched: service.clone(),
            service,
            desired: want,
            renamed_from: None,
            state: RunState::Idle,
            inspected: None,
            pending_restart: None,
            start_cause: None,
            recent_exits: Vec::new(),
            port_losses: 0,
            exit: None,
            run: None,
            runs: 0,
            probe_failure: None,
            note: None,
            debugger: DebuggerState::Unknown,
            listening: None,
            warnings: Vec::new(),
            reported_warnings: Vec::new(),
            time_to_ready: None,
            saves: WatchActions::default(),
            past: RunHistory::default(),
            told: None,
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
    pub fn live_run(&self) -> Option<RunId> {
        match self.state {
            RunState::Launching { run, .. }
            | RunState::Starting { run, .. }
            | RunState::Late { run, .. }
            | RunState::Ready { run, .. }
            | RunState::Unwell { run, .. }
            | RunState::Stopping { run, .. }
            | RunState::Draining { run, .. } => Some(run),
            RunState::Idle
            | RunState::Backoff { .. }
            | RunState::Displaced { .. }
            | RunState::Over(_) => None,
        }
    }

    /// Whether a run or a watch command of it may have live processes.
    pub fn is_live(&self) -> bool {
        self.live_run().is_some() || self.saves.is_working()
    }

    pub fn pid(&self) -> Option<u32> {
        match self.state {
            RunState::Starting { pid, .. }
            | RunState::Late { pid, .. }
            | RunState::Ready { pid, .. }
            | RunState::Unwell { pid, .. } => Some(pid),
            RunState::Stopping { pid, .. } => pid,
            RunState::Idle
            | RunState::Launching { .. }
            | RunState::Draining { .. }
            | RunState::Backoff { .. }
            | RunState::Displaced { .. }
            | RunState::Over(_) => None,
        }
    }

    /// Ends a back-off or a finished state that a change or the user made pointless.
    pub fn clear_wait(&mut self) {
        match self.state {
            RunState::Backoff { .. } | RunState::Over(_) => {
                self.state = RunState::Idle;
                self.recent_exits.clear();
                self.port_losses = 0;
            }
            RunState::Idle
            | RunState::Displaced { .. }
            | RunState::Launching { .. }
            | RunState::Starting { .. }
            | RunState::Late { .. }
            | RunState::Ready { .. }
            | RunState::Unwell { .. }
            | RunState::Stopping { .. }
            | RunState::Draining { .. } => {}
        }
    }

    /// Starts the health probes, if any, of a run that became ready.
    pub fn watch_health(&self, run: RunId, effects: &mut Vec<Effect>) {
        if self.service.health.is_some() && !self.launched.mode.is_debug() {
            effects.push(Effect::StartHealthProbes(run, self.service.clone()));
        }
    }

    /// Replaces or stops the health probes, and their findings, after a configuration change.
    pub fn restart_health_probes(&mut self, now: EngineTime, effects: &mut Vec<Effect>) {
        let run = match self.state {
            RunState::Ready { run, .. } => run,
            RunState::Unwell { run, pid, .. } => {
                let cause = Cause::ConfigChanged("health changed".to_owned());
                self.state = RunState::Ready { run, pid, at: now, cause };
                run
            }
            RunState::Idle
            | RunState::Launching { .. }
            | RunState::Starting { .. }
            | RunState::Late { .. }
            | RunState::Stopping { .. }
            | RunState::Draining { .. }
            | RunState::Backoff { .. }
            | RunState::Displaced { .. }
            | RunState::Over(_) => return,
        };
        if !self.launched.mode.is_debug() {
            effects.push(Effect::StartHealthProbes(run, self.service.clone()));
        }
    }

    pub fn shift(&mut self, time: Duration) {
        for end in &mut self.recent_exits {
            end.at += time;
        }
        self.saves.shift(time);
        if let DebuggerState::Awaited(at) = &mut self.debugger {
            *at += time;
        }
        match &mut self.state {
            RunState::Starting { spawned, ready_by, .. } => {
                *spawned += time;
                if let Some(by) = ready_by {
                    *by += time;
                }
            }
            RunState::Late { spawned, .. } => *spawned += time,
            RunState::Ready { at, .. } => *at += time,
            RunState::Stopping {
                kill: KillDeadline::At(at) | KillDeadline::Held(Some(at)),
                ..
            }
            | RunState::Draining {
                kill: KillDeadline::At(at) | KillDeadline::Held(Some(at)),
                ..
            } => *at += time,
            RunState::Backoff { until, .. } => *until += time,
            RunState::Idle
            | RunState::Launching { .. }
            | RunState::Unwell { .. }
            | RunState::Stopping {
                kill: KillDeadline::Held(None) | KillDeadline::Ordered | KillDeadline::Never,
                ..
            }
            | RunState::Draining {
                kill: KillDeadline::Held(None) | KillDeadline::Ordered | KillDeadline::Never,
                ..
            }
            | RunState::Displaced { .. }
            | RunState::Over(_) => {}
        }
    }

    /// Requests a run that starts after now.
    pub fn restart_with(&mut self, cause: Cause) {
        self.start_cause = Some(cause.clone());
        match self.state {
            RunState::Launching { .. }
            | RunState::Starting { .. }
            | RunState::Late { .. }
            | RunState::Ready { .. }
            | RunState::Unwell { .. }
            // Exited on its own: this run must not be judged any more.
            | RunState::Draining {
                verdict:
                    ExitVerdict::Expected(_)
                    | ExitVerdict::Unexpected(_)
                    | ExitVerdict::Unhealthy(_)
                    | ExitVerdict::Undecided(_),
                ..
            } => {
                self.pending_restart = Some(cause);
            }
            // The current run is stopping already; the next one starts after now anyway.
            RunState::Stopping { .. }
            | RunState::Draining { verdict: ExitVerdict::Requested | ExitVerdict::PortLost(_), .. } => {}
            RunState::Idle | RunState::Backoff { .. } | RunState::Displaced { .. } | RunState::Over(_) => {
                self.clear_wait();
            }
        }
        self.recent_exits.clear();
    }
}
