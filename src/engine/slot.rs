use std::sync::Arc;
use std::time::Duration;

use super::Effect;
use super::past::Past;
use super::saves::Saves;
use crate::model::{Address, Cause, Exit, Message, Name, Phase, Run, Service};

/// Time since the supervisor started, from a clock that never jumps.
pub type Time = Duration;

/// Everything the engine knows about one service.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    /// As it is meant now.
    pub service: Arc<Service>,
    /// As it was when the current or last run was started.
    pub launched: Arc<Service>,
    pub want: Want,
    /// What it was called before: it starts when nothing of that is left.
    pub after: Option<Name>,
    pub state: State,
    /// Why the current run has to end and another to follow.
    pub restart: Option<Cause>,
    /// Why the next run begins, when that is not why the service is wanted.
    pub because: Option<Cause>,
    /// Ends of recent runs that nobody asked for, oldest first. Cleared by ten seconds of being ready.
    pub ends: Vec<End>,
    /// How often in a row a port of it was taken before it was ready.
    pub robberies: u32,
    /// How the last run ended.
    pub exit: Option<Exit>,
    /// The current or last run.
    pub run: Option<Run>,
    /// How many runs there were.
    pub runs: u32,
    /// What the failing readiness probe of the current run saw last.
    pub failing: Option<String>,
    /// What people should know about the current run.
    pub note: Option<Message>,
    /// Whether the debugger of the current run listens.
    pub debugger: Listening,
    /// Where the current run listens; `None`: not known.
    pub listening: Option<Vec<Address>>,
    /// What is to be said of that.
    pub remarks: Vec<Message>,
    /// What was last said of where a run listens: a restart changes nothing about it.
    pub remarked: Vec<Message>,
    /// From spawn to ready, of the current or last run.
    pub ready_after: Option<Duration>,
    /// What saved files have brought about.
    pub saves: Saves,
    /// What was, for people who ask why.
    pub past: Past,
    /// What was last told about it.
    pub told: Option<Told>,
    /// Since when it is in the phase that was last told.
    pub since: Time,
}

/// What is told of a service: its phase, why, and the live run.
pub(super) type Told = (Phase, Cause, Option<Run>);

/// Whether the debugger of a run listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listening {
    /// Nobody looks.
    Unknown,
    /// It did not yet; when people are told.
    Awaited(Time),
    /// It was seen to.
    Seen,
    /// It did not for so long that people were told. Somebody still looks.
    Missed,
}

/// An end that nobody asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    pub at: Time,
    /// Whether it counts toward a crash loop.
    pub unexpected: bool,
}

/// Whether a service should run.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Want {
    /// Nobody asked for it.
    No,
    /// Somebody stopped it by hand; an apply does not start it.
    Stopped,
    /// It is no longer in the stack: its slot goes when nothing of it is left.
    Removed,
    /// It should run; why.
    Yes(Cause),
}

/// What a service is doing. Deadlines live and die with the state.
#[derive(Debug, Clone)]
pub(super) enum State {
    /// Nothing runs.
    Idle,
    /// A spawn was ordered; why.
    Launching { run: Run, why: Cause },
    /// Its process runs and is not ready.
    Starting {
        run: Run,
        pid: u32,
        spawned: Time,
        /// When it is late; `None`: it may take any time.
        ready_by: Option<Time>,
    },
    /// Its process runs, is still probed, and was not ready in time.
    Late { run: Run, pid: u32, spawned: Time, message: Message },
    /// Its process runs and is ready.
    Ready { run: Run, pid: u32, at: Time, cause: Cause },
    /// Its process runs, was ready, and its health probes fail.
    Unwell { run: Run, pid: u32, message: Message },
    /// It was told to stop.
    Stopping { run: Run, pid: Option<u32>, why: Cause, kill: KillAt },
    /// Its main process ended; the rest of its tree or its output is not at an end.
    Draining { run: Run, verdict: Verdict, kill: KillAt },
    /// The next start waits.
    Backoff { until: Time, cause: Cause },
    /// Somebody else has a port of it; it waits for another one.
    Displaced { message: Message },
    /// It ended, and is not started again unless something changes.
    Over(Outcome),
}

/// When what is left of a run is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KillAt {
    /// At this time.
    At(Time),
    /// Not by time: it is being debugged. When people are told that it takes long; `None`: they know.
    Held(Option<Time>),
    /// It was ordered.
    Ordered,
    /// The hands end what is left by themselves.
    Never,
}

/// How a run is judged when its main process has ended.
#[derive(Debug, Clone)]
pub(super) enum Verdict {
    /// Somebody asked for it.
    ByUs,
    /// By itself, with a success code.
    Expected(Exit),
    /// By itself, otherwise.
    Unexpected(Exit),
    /// By us, because it was unwell: as good as a crash.
    Unwell(Exit),
    /// By us, because somebody else has a port of it.
    Robbed(Message),
    /// Nothing of it is left, and it is being found out whether it is to blame.
    Unclear(Exit),
}

/// How a service ended for good.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Outcome {
    Done(Exit),
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

    /// The run that has, or may have, live processes.
    pub fn live_run(&self) -> Option<Run> {
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

    /// Whether anything of it may have live processes: a run, or the command of a watch.
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

    /// Ends a wait that a change, a new configuration or a person makes pointless. Waiting for another port is not.
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

    /// Orders health probes for a run that has become ready, if there are any.
    pub fn watch_health(&self, run: Run, effects: &mut Vec<Effect>) {
        if self.service.health.is_some() && !self.launched.mode.is_debug() {
            effects.push(Effect::WatchHealth(run, self.service.clone()));
        }
    }

    /// Orders other health probes for a run, or none, when the configuration changed. What the old ones found
    /// counts no more.
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

    /// Moves every deadline on.
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

    /// Asks for a run that begins after now.
    pub fn renew(&mut self, cause: Cause) {
        self.because = Some(cause.clone());
        match self.state {
            State::Launching { .. }
            | State::Starting { .. }
            | State::Late { .. }
            | State::Ready { .. }
            | State::Unwell { .. }
            // Ended by itself: without this it would be judged, and perhaps wait or be over.
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
            // What runs is on its way out already; the next run begins after now anyway.
            State::Stopping { .. }
            | State::Draining { verdict: Verdict::ByUs | Verdict::Robbed(_), .. } => {}
            State::Idle | State::Backoff { .. } | State::Displaced { .. } | State::Over(_) => {
                self.rearm();
            }
        }
        self.ends.clear();
    }
}
