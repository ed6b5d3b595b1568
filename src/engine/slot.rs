use std::sync::Arc;
use std::time::Duration;

use super::Effect;
use super::past::Past;
use super::saves::Saves;
use crate::model::{Cause, ListenAddress, Message, Name, Phase, ProcessExit, RunId, Service};

/// Time since the supervisor started, from a monotonic clock.
pub type Time = Duration;

/// Everything the engine knows about one service.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    /// The current definition.
    pub service: Arc<Service>,
    /// The definition that the current or last run was started with.
    pub launched: Arc<Service>,
    pub want: Want,
    /// Its former name; it starts once nothing runs under that name.
    pub after: Option<Name>,
    pub state: State,
    /// Why the current run must stop and another must follow.
    pub restart: Option<Cause>,
    /// Why the next run starts, if not for the reason that the service is wanted.
    pub because: Option<Cause>,
    /// Recent exits that were not requested, oldest first. Cleared after `STABLE_AFTER`.
    pub ends: Vec<End>,
    /// How often in a row it lost a port before it was ready.
    pub robberies: u32,
    /// How the last run exited.
    pub exit: Option<ProcessExit>,
    pub run: Option<RunId>,
    pub runs: u32,
    /// What the failing readiness probe of the current run last saw.
    pub failing: Option<String>,
    /// A note for the user about the current run.
    pub note: Option<Message>,
    pub debugger: Listening,
    /// Where the current run is listening; `None`: unknown.
    pub listening: Option<Vec<ListenAddress>>,
    /// Warnings about where the current run is listening.
    pub remarks: Vec<Message>,
    /// The warnings last reported. Kept across restarts so that none is repeated.
    pub remarked: Vec<Message>,
    /// Time from spawn to ready of the current or last run.
    pub ready_after: Option<Duration>,
    pub saves: Saves,
    pub past: Past,
    pub told: Option<Told>,
    /// When the reported phase began.
    pub since: Time,
}

/// What is reported of a service: its phase, why, and the live run.
pub(super) type Told = (Phase, Cause, Option<RunId>);

/// Whether the debugger of a run is listening.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listening {
    /// Not checked.
    Unknown,
    /// Not yet; when the user is notified.
    Awaited(Time),
    /// It is listening.
    Seen,
    /// Not listening for so long that the user was notified. Still checked.
    Missed,
}

/// An exit that was not requested.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    pub at: Time,
    pub unexpected: bool,
}

/// Whether a service should run.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Want {
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
pub(super) enum State {
    /// Nothing runs.
    Idle,
    /// A spawn was ordered.
    Launching { run: RunId, why: Cause },
    /// Running, not ready.
    Starting {
        run: RunId,
        pid: u32,
        spawned: Time,
        /// When it is late; `None`: no limit.
        ready_by: Option<Time>,
    },
    /// Running and still probed, but not ready in time.
    Late { run: RunId, pid: u32, spawned: Time, message: Message },
    /// Running and ready.
    Ready { run: RunId, pid: u32, at: Time, cause: Cause },
    /// Running and was ready, but its health probes fail.
    Unwell { run: RunId, pid: u32, message: Message },
    /// A stop or kill was ordered.
    Stopping { run: RunId, pid: Option<u32>, why: Cause, kill: KillAt },
    /// Its main process exited; other processes of its tree or unread output remain.
    Draining { run: RunId, verdict: Verdict, kill: KillAt },
    /// The next start is delayed.
    Backoff { until: Time, cause: Cause },
    /// Another process has one of its ports; it waits for a different one.
    Displaced { message: Message },
    /// It is finished and does not start again unless something changes.
    Over(Outcome),
}

/// When the remains of a run are killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KillAt {
    At(Time),
    /// Not by time, because it is being debugged; when to notify the user, unless already done.
    Held(Option<Time>),
    Ordered,
    /// The executor cleans up the rest on its own.
    Never,
}

/// How a run is judged once its main process has exited.
#[derive(Debug, Clone)]
pub(super) enum Verdict {
    ByUs,
    /// Exited on its own with a success code.
    Expected(ProcessExit),
    /// Exited on its own otherwise.
    Unexpected(ProcessExit),
    /// Stopped because it was unhealthy, which counts as a crash.
    Unwell(ProcessExit),
    /// Stopped because another process has one of its ports.
    Robbed(Message),
    /// Nothing of it is left; an investigation decides whether it is to blame.
    Unclear(ProcessExit),
}

/// How a service finished for good.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Outcome {
    Done(ProcessExit),
    Failed(Message),
}

impl Slot {
    pub fn new(service: Arc<Service>, want: Want, now: Time) -> Slot {
        Slot {
            launched: service.clone(),
            service,
            want,
            after: None,
            state: State::Idle,
            restart: None,
            because: None,
            ends: Vec::new(),
            robberies: 0,
            exit: None,
            run: None,
            runs: 0,
            failing: None,
            note: None,
            debugger: Listening::Unknown,
            listening: None,
            remarks: Vec::new(),
            remarked: Vec::new(),
            ready_after: None,
            saves: Saves::default(),
            past: Past::default(),
            told: None,
            since: now,
        }
    }

    pub fn wanted(&self) -> bool {
        match self.want {
            Want::Yes(_) => true,
            Want::No | Want::Stopped | Want::Removed => false,
        }
    }

    /// Returns the run that has or may have live processes.
    pub fn live_run(&self) -> Option<RunId> {
        match self.state {
            State::Launching { run, .. }
            | State::Starting { run, .. }
            | State::Late { run, .. }
            | State::Ready { run, .. }
            | State::Unwell { run, .. }
            | State::Stopping { run, .. }
            | State::Draining { run, .. } => Some(run),
            State::Idle | State::Backoff { .. } | State::Displaced { .. } | State::Over(_) => None,
        }
    }

    /// Whether a run or a watch command of it may have live processes.
    pub fn is_live(&self) -> bool {
        self.live_run().is_some() || self.saves.is_working()
    }

    pub fn pid(&self) -> Option<u32> {
        match self.state {
            State::Starting { pid, .. }
            | State::Late { pid, .. }
            | State::Ready { pid, .. }
            | State::Unwell { pid, .. } => Some(pid),
            State::Stopping { pid, .. } => pid,
            State::Idle
            | State::Launching { .. }
            | State::Draining { .. }
            | State::Backoff { .. }
            | State::Displaced { .. }
            | State::Over(_) => None,
        }
    }

    /// Ends a back-off or a finished state that a change or the user made pointless.
    pub fn rearm(&mut self) {
        match self.state {
            State::Backoff { .. } | State::Over(_) => {
                self.state = State::Idle;
                self.ends.clear();
                self.robberies = 0;
            }
            State::Idle
            | State::Displaced { .. }
            | State::Launching { .. }
            | State::Starting { .. }
            | State::Late { .. }
            | State::Ready { .. }
            | State::Unwell { .. }
            | State::Stopping { .. }
            | State::Draining { .. } => {}
        }
    }

    /// Starts the health probes, if any, of a run that became ready.
    pub fn watch_health(&self, run: RunId, effects: &mut Vec<Effect>) {
        if self.service.health.is_some() && !self.launched.mode.is_debug() {
            effects.push(Effect::WatchHealth(run, self.service.clone()));
        }
    }

    /// Replaces or stops the health probes, and their findings, after a configuration change.
    pub fn look_after_anew(&mut self, now: Time, effects: &mut Vec<Effect>) {
        let run = match self.state {
            State::Ready { run, .. } => run,
            State::Unwell { run, pid, .. } => {
                let cause = Cause::ConfigChanged("health changed".to_owned());
                self.state = State::Ready { run, pid, at: now, cause };
                run
            }
            State::Idle
            | State::Launching { .. }
            | State::Starting { .. }
            | State::Late { .. }
            | State::Stopping { .. }
            | State::Draining { .. }
            | State::Backoff { .. }
            | State::Displaced { .. }
            | State::Over(_) => return,
        };
        if !self.launched.mode.is_debug() {
            effects.push(Effect::WatchHealth(run, self.service.clone()));
        }
    }

    pub fn shift(&mut self, time: Duration) {
        for end in &mut self.ends {
            end.at += time;
        }
        self.saves.shift(time);
        if let Listening::Awaited(at) = &mut self.debugger {
            *at += time;
        }
        match &mut self.state {
            State::Starting { spawned, ready_by, .. } => {
                *spawned += time;
                if let Some(by) = ready_by {
                    *by += time;
                }
            }
            State::Late { spawned, .. } => *spawned += time,
            State::Ready { at, .. } => *at += time,
            State::Stopping { kill: KillAt::At(at) | KillAt::Held(Some(at)), .. }
            | State::Draining { kill: KillAt::At(at) | KillAt::Held(Some(at)), .. } => *at += time,
            State::Backoff { until, .. } => *until += time,
            State::Idle
            | State::Launching { .. }
            | State::Unwell { .. }
            | State::Stopping {
                kill: KillAt::Held(None) | KillAt::Ordered | KillAt::Never, ..
            }
            | State::Draining {
                kill: KillAt::Held(None) | KillAt::Ordered | KillAt::Never, ..
            }
            | State::Displaced { .. }
            | State::Over(_) => {}
        }
    }

    /// Requests a run that starts after now.
    pub fn renew(&mut self, cause: Cause) {
        self.because = Some(cause.clone());
        match self.state {
            State::Launching { .. }
            | State::Starting { .. }
            | State::Late { .. }
            | State::Ready { .. }
            | State::Unwell { .. }
            // Exited on its own: this run must not be judged any more.
            | State::Draining {
                verdict:
                    Verdict::Expected(_)
                    | Verdict::Unexpected(_)
                    | Verdict::Unwell(_)
                    | Verdict::Unclear(_),
                ..
            } => {
                self.restart = Some(cause);
            }
            // The current run is stopping already; the next one starts after now anyway.
            State::Stopping { .. }
            | State::Draining { verdict: Verdict::ByUs | Verdict::Robbed(_), .. } => {}
            State::Idle | State::Backoff { .. } | State::Displaced { .. } | State::Over(_) => {
                self.rearm();
            }
        }
        self.ends.clear();
    }
}
