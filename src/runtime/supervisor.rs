//! The one loop.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::clock::Clock;
use super::ending::{Ender, Ending};
use super::feed::Teller;
use super::handle::{Answer, Ask, Handle};
use super::hands::Hands;
use super::jobs::Done;
use super::log::{Logs, narrate};
use super::outcome::Outcome;
use super::probe::Report;
use super::process::Fact;
use super::reload::{Previewed, Reloaded, Reloader, Task};
use super::signals::{Called, Signals};
use super::watch::Change;
use crate::engine::{Effect, Engine, Input, Selection, Ticket, Time};
use crate::model::{Color, Message, Name, Plan, Snapshot, Stack, StackState};

/// How many inputs are taken in before they are decided upon. A burst is one decision; a flood
/// still leaves room for deadlines.
const BATCH: usize = 256;

/// A deadline that is met this much later was not met late: devstack itself did not run, because it was
/// stopped (Ctrl-Z) or the machine slept. No deadline counts that time.
const OVERSLEPT: Duration = Duration::from_secs(2);

/// While there is a deadline, the loop wakes this often, to know how long it did not run. Without one it
/// sleeps for as long as nothing happens.
const BEAT: Duration = Duration::from_secs(1);

mod configuration;
mod switch;
mod take;
mod telling;
mod thieves;

pub(crate) use switch::no_debug_entry;

/// What a supervisor starts with.
pub struct Setup {
    /// The hands that hold processes, probes and watches.
    pub hands: Hands,
    /// The reports of the hands.
    pub senses: Senses,
    /// What the services print.
    pub logs: Logs,
    /// The first stack.
    pub stack: Arc<Stack>,
    /// What `up` was asked to start.
    pub selection: Option<Selection>,
    /// Follows the configuration, and chooses ports again.
    pub reloader: Reloader,
    /// Goes on when nothing runs any more, until it is told to end.
    pub stay: bool,
    /// Rows and columns of the terminal that devstack writes to, when there is one.
    pub terminal_size: TerminalSize,
    /// Shows a QR code when the start is over; with the columns that stand before the names in each line.
    pub qr: Option<u16>,
}

/// Rows and columns of a terminal, whenever that is asked.
pub type TerminalSize = Box<dyn Fn() -> Option<(u16, u16)>>;

/// Where reports arrive.
pub struct Senses {
    /// Of processes.
    pub facts: mpsc::UnboundedReceiver<Fact>,
    /// Of probes.
    pub reports: mpsc::UnboundedReceiver<Report>,
    /// Of commands that ran because files changed.
    pub done: mpsc::UnboundedReceiver<Done>,
    /// Of watched files.
    pub changes: mpsc::UnboundedReceiver<Change>,
    /// Signals to devstack itself.
    pub signals: Signals,
}

/// The one loop: turns the world into inputs, lets the engine decide, carries out what it decided.
pub struct Supervisor {
    engine: Engine,
    clock: Clock,
    hands: Hands,
    senses: Senses,
    logs: Logs,
    teller: Teller,
    stack: Arc<Stack>,
    selection: Option<Selection>,
    reloader: Reloader,
    /// What the last load of the configuration had to say.
    notes: Vec<Message>,
    /// Requests to go into debug mode or back that wait until the stack is made for it.
    switches: Vec<switch::Switch>,
    /// Whether the configuration had mistakes when it was last read.
    broken: bool,
    /// What edits would change that are not applied because the stack does not follow them.
    waits: Plan,
    previewed: (mpsc::UnboundedSender<Preview>, mpsc::UnboundedReceiver<Preview>),
    reloaded: (mpsc::UnboundedSender<Reloaded>, mpsc::UnboundedReceiver<Reloaded>),
    asks: mpsc::UnboundedReceiver<Ask>,
    waiting: BTreeMap<Ticket, oneshot::Sender<Answer>>,
    tickets: u64,
    interrupts: u32,
    /// When the loop was last seen to run.
    seen: Time,
    /// What is, if it was looked at since it changed.
    snapshot: Option<Arc<Snapshot>>,
    state: watch::Sender<StackState>,
    settled: watch::Sender<bool>,
    terminal_size: TerminalSize,
    qr: Option<u16>,
    ender: Ender,
    endings: mpsc::UnboundedReceiver<Ending>,
    halt: Option<i32>,
}

/// A look at the files, and who asked for it.
type Preview = (Previewed, configuration::TellPlan);

/// Something that woke the loop.
enum Wake {
    Fact(Fact),
    Report(Report),
    Done(Done),
    Change(Change),
    Ask(Ask),
    Reloaded(Reloaded),
    Previewed(Previewed, configuration::TellPlan),
    Signal(Called),
    Ending(Ending),
    LogTrouble,
    Deadline,
}

impl Supervisor {
    /// A supervisor that has done nothing yet, and the handle to reach it.
    pub fn new(setup: Setup) -> (Supervisor, Handle) {
        let clock = Clock::start();
        let (ask, asks) = mpsc::unbounded_channel();
        let (ender, endings) = Ender::new();
        let (state, _) = watch::channel(StackState::Starting);
        let teller = Teller::new();
        let handle = Handle::new(ask, setup.logs.clone(), teller.tap());
        let supervisor = Supervisor {
            engine: if setup.stay { Engine::staying() } else { Engine::new() },
            clock,
            hands: setup.hands,
            senses: setup.senses,
            logs: setup.logs,
            teller,
            stack: setup.stack,
            selection: setup.selection,
            reloader: setup.reloader,
            terminal_size: setup.terminal_size,
            qr: setup.qr,
            notes: Vec::new(),
            switches: Vec::new(),
            broken: false,
            waits: Plan::default(),
            previewed: mpsc::unbounded_channel(),
            reloaded: mpsc::unbounded_channel(),
            asks,
            waiting: BTreeMap::new(),
            tickets: 0,
            interrupts: 0,
            seen: Time::ZERO,
            snapshot: None,
            state,
            settled: watch::Sender::new(false),
            ender,
            endings,
            halt: None,
        };
        (supervisor, handle)
    }

    /// What the stack as a whole is doing, whenever that changes.
    pub fn state(&self) -> watch::Receiver<StackState> {
        self.state.subscribe()
    }

    /// Whether the start is over: everything that was asked for is ready or done, or has failed.
    pub fn settled(&self) -> watch::Receiver<bool> {
        self.settled.subscribe()
    }

    /// Ends the stack from elsewhere in devstack.
    pub fn ender(&self) -> Ender {
        self.ender.clone()
    }

    /// Runs until everything is over. Whatever is left then is the guard's.
    pub async fn run(mut self) -> Outcome {
        let (stack, selection) = (self.stack.clone(), self.selection.clone());
        self.logs.services(&colors(&stack));
        self.hands.begin();
        self.decide(vec![Input::Apply { stack, selection }]);
        let mut watching = false;
        while self.halt.is_none() {
            // The walk over the files competes with what starts; changes from before it are seen by it.
            if !watching && !self.engine.is_launching() {
                watching = true;
                self.watch();
            }
            let first = self.wake().await;
            let mut inputs = Vec::new();
            self.take(first, &mut inputs);
            while inputs.len() < BATCH
                && let Some(next) = self.ready()
            {
                self.take(next, &mut inputs);
            }
            self.decide(inputs);
        }
        let proved = self.hands.finish().await;
        if !proved {
            self.logs.say(narrate::unproved());
        }
        Outcome { code: self.halt.unwrap_or(1), proved }
    }

    /// Waits for whatever comes first. The arms only make a value.
    async fn wake(&mut self) -> Wake {
        let deadline = self.next_wake().map(|at| self.clock.instant(at));
        let sleep = async {
            match deadline {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            called = self.senses.signals.next() => Wake::Signal(called),
            Some(fact) = self.senses.facts.recv() => Wake::Fact(fact),
            Some(ask) = self.asks.recv() => Wake::Ask(ask),
            Some(report) = self.senses.reports.recv() => Wake::Report(report),
            Some(done) = self.senses.done.recv() => Wake::Done(done),
            Some(change) = self.senses.changes.recv() => Wake::Change(change),
            Some(reloaded) = self.reloaded.1.recv() => Wake::Reloaded(reloaded),
            Some((found, tell)) = self.previewed.1.recv() => Wake::Previewed(found, tell),
            Some(ending) = self.endings.recv() => Wake::Ending(ending),
            () = self.logs.noted() => Wake::LogTrouble,
            () = sleep => Wake::Deadline,
        }
    }

    /// When the loop wakes at the latest, if nothing happens before.
    fn next_wake(&self) -> Option<Time> {
        self.engine.next_deadline().map(|at| at.min(self.seen + BEAT))
    }

    /// What has arrived already.
    fn ready(&mut self) -> Option<Wake> {
        if let Ok(fact) = self.senses.facts.try_recv() {
            return Some(Wake::Fact(fact));
        }
        if let Ok(report) = self.senses.reports.try_recv() {
            return Some(Wake::Report(report));
        }
        None
    }

    /// Lets the engine decide, shows what is, then carries out.
    fn decide(&mut self, mut inputs: Vec<Input>) {
        let now = self.clock.now();
        let late = self.next_wake().and_then(|at| now.checked_sub(at));
        if let Some(late) = late.filter(|late| *late > OVERSLEPT) {
            inputs.insert(0, Input::Slept(late));
        }
        self.seen = now;
        // No effect follows, but it is what people want to know of a service that is not ready.
        let failing = inputs.iter().any(|input| {
            matches!(input, Input::Failing(..) | Input::Listens(..) | Input::Remarks(..))
        });
        let mut effects = self.engine.step(now, inputs);
        if !effects.is_empty() || failing {
            self.publish(now, &effects);
            if self.hands.passes() {
                // Before anything starts: a port may go from one service to another.
                self.hands.pass_only(self.engine.awaited());
            }
            let mut found = self.intercept(&mut effects);
            for effect in effects {
                found.extend(self.carry_out(effect));
            }
            if !found.is_empty() {
                // Each finding is about a run that is over, so this comes to an end.
                return self.decide(found);
            }
        }
        self.go_on_loading();
    }

    /// Begins to load the configuration, to make a stack with other modes, or to choose ports, when that is due.
    fn go_on_loading(&mut self) {
        let Some(task) = self.reloader.due().filter(|_| !self.engine.is_ending()) else { return };
        let present = match task {
            Task::Read | Task::Place => self.present(),
            Task::Switch => self.present_switched(),
        };
        self.reloader.begin(task, &self.stack, present, &self.reloaded.0);
    }

    /// Does what the engine ordered; what it asked for comes back.
    fn carry_out(&mut self, effect: Effect) -> Option<Input> {
        match effect {
            Effect::Spawn(run, service) => self.hands.spawn(run, &service),
            Effect::Stop(run, stop) => self.hands.stop(run, &stop),
            Effect::WatchHealth(run, service) => self.hands.watch_health(run, &service),
            Effect::Kill(run) => self.hands.kill(run),
            Effect::Signal(run, signal) => self.hands.signal(run, signal),
            Effect::StartJob(job, service, run, command) => {
                self.hands.start_job(job, &service, run, &command);
            }
            Effect::StopJob(job) => self.hands.stop_job(job),
            Effect::KillJob(job) => self.hands.kill_job(job),
            Effect::AwaitDebugger(run, service) => self.hands.await_debugger(run, &service),
            Effect::Probe(run, service) => self.hands.probe(run, &service),
            Effect::Tell(event) => self.narrate(event),
            Effect::Answer(ticket, answer) => {
                if let Some(tell) = self.waiting.remove(&ticket) {
                    // Whoever asked may have gone.
                    let _ = tell.send(answer);
                }
            }
            Effect::Examine(run, service) => return Some(self.examine(run, &service)),
            Effect::Place(name) => self.reloader.place(name),
            Effect::Halt(code) => self.halt = Some(code),
        }
        None
    }

    fn watch(&mut self) {
        self.hands.watch(&self.stack, &Default::default());
    }

    fn ticket(&mut self, tell: oneshot::Sender<Answer>) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.waiting.insert(ticket, tell);
        ticket
    }
}

fn colors(stack: &Stack) -> Vec<(Name, Option<Color>)> {
    stack.services.iter().map(|(name, service)| (name.clone(), service.color)).collect()
}
