//! The brain: every decision of devstack, as one pure state machine. It reads no clock, touches no
//! file and knows no process; time is a parameter, and so is everything that happens.
//!
//! [`Engine::step`] is always the same three moves: *absorb* the inputs into the state and decide
//! nothing; *reconcile* the state with what is wanted (first lower what must not stay, then raise
//! what should run); *tell* what changed. Reconciling looks only at the present, so that a new
//! kind of input needs no new cases elsewhere.

mod absorb;
mod apply;
mod debug;
mod difference;
mod effect;
mod ends;
mod explain;
mod follow;
mod input;
mod order;
mod past;
mod pending;
mod place;
mod plan;
mod reconcile;
mod rename;
mod saves;
mod slot;
mod streak;
mod suspect;
mod tell;
#[cfg(test)]
mod tests;
mod until;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

pub use effect::Effect;
pub use input::{Excuse, Haste, Input, Job, Selection, Ticket, Until};
pub use slot::Time;

use tell::Outlook;

use crate::model::{Cause, Happening, Message, Name, Run, Service, ServiceView, Stack, StackState};
use pending::Pending;
use slot::{KillAt, Slot, State};

/// A service that stays ready this long has proved itself: earlier ends no longer count.
const STABLE: Duration = Duration::from_secs(10);

/// So many services a second are started again after a crash, at most: a stack that crashes as a
/// whole must leave the machine usable.
const RESPAWNS_A_SECOND: usize = 20;

/// A polite shutdown turns into a kill after this long, however many layers there are. Longer than
/// any container runtime or CI runner waits is of no use.
const SHUTDOWN_CAP: Duration = Duration::from_secs(30);

/// The state machine. See the module's page.
pub struct Engine {
    stack: Option<Arc<Stack>>,
    selection: Option<Selection>,
    slots: BTreeMap<Name, Slot>,
    /// Dependencies before dependents.
    order: Vec<Name>,
    /// Which service a live run belongs to.
    runs: BTreeMap<Run, Name>,
    next_run: u64,
    /// How many commands of watches there were.
    jobs: u64,
    ending: Option<Ending>,
    pending: Vec<Pending>,
    /// Whether everything that was asked for has been ready, done or failed once.
    settled: bool,
    /// Whether an apply has changed something: before that, no port can be in the way of another.
    changed: bool,
    /// Whether more files are changing than was told.
    files_changing: bool,
    /// How the stack as a whole stood at the end of the last step.
    outlook: Outlook,
    /// When services were started again after a delay, within the last second.
    respawns: VecDeque<Time>,
    halted: bool,
    /// Does not halt when nothing runs and nothing will by itself.
    stays: bool,
}

/// The services that can't start because something they need has failed, with the root of it.
type Blocked = BTreeMap<Name, Message>;

/// A shutdown under way.
#[derive(Debug, Clone)]
struct Ending {
    /// Always [`Cause::Shutdown`]; kept as the cause that every idle service then has.
    why: Cause,
    code: i32,
    haste: Haste,
    cap: Time,
    told: bool,
}

impl Default for Engine {
    fn default() -> Engine {
        Engine::new()
    }
}

impl Engine {
    /// An engine without a stack.
    pub fn new() -> Engine {
        Engine {
            stack: None,
            selection: None,
            slots: BTreeMap::new(),
            order: Vec::new(),
            runs: BTreeMap::new(),
            next_run: 1,
            jobs: 0,
            ending: None,
            pending: Vec::new(),
            settled: false,
            changed: false,
            files_changing: false,
            outlook: Outlook::default(),
            respawns: VecDeque::new(),
            halted: false,
            stays: false,
        }
    }

    /// One that halts only after a shutdown, for somebody who needs the stack until then: a stack of
    /// tasks that are all done is up, and one that has failed is for that somebody to judge.
    pub fn staying() -> Engine {
        Engine { stays: true, ..Engine::new() }
    }

    /// Takes in what happened and says what to do now. Inputs count in their order; they are
    /// decided upon together, so a burst costs one decision.
    pub fn step(&mut self, now: Time, inputs: impl IntoIterator<Item = Input>) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.halted {
            return effects;
        }
        for input in inputs {
            self.absorb(now, input, &mut effects);
        }
        self.expire(now, &mut effects);
        self.lower(now, &mut effects);
        self.raise(now, &mut effects);
        self.tell(now, &mut effects);
        effects
    }

    /// When [`Engine::step`] has to be called even if nothing happens.
    pub fn next_deadline(&self) -> Option<Time> {
        let slots = self.slots.values();
        let slots = slots
            .flat_map(|slot| [slot.deadline(), slot.saves.deadline(), slot.debugger_deadline()])
            .flatten();
        let cap = self.ending.as_ref().filter(|ending| ending.haste == Haste::Polite);
        slots.chain(cap.map(|ending| ending.cap)).min()
    }

    /// The services as they are, with `since` written by `date`.
    pub fn views(&self, date: impl Fn(Time) -> String) -> Vec<ServiceView> {
        let blocked = self.blocked();
        self.slots.iter().map(|(name, slot)| self.view(name, slot, &blocked, &date)).collect()
    }

    /// One service as it is, with `since` written by `date`.
    pub fn view_of(&self, name: &Name, date: impl Fn(Time) -> String) -> Option<ServiceView> {
        let slot = self.slots.get(name)?;
        let blocked = if slot.live_run().is_some() { Blocked::new() } else { self.blocked() };
        Some(self.view(name, slot, &blocked, date))
    }

    /// What the stack as a whole is doing.
    pub fn state(&self) -> StackState {
        match (&self.ending, self.slots.values().any(Slot::is_live)) {
            (Some(_), true) => StackState::Stopping,
            (Some(_), false) => StackState::Stopped,
            (None, _) => self.outlook.standing(),
        }
    }

    /// Whether a shutdown has begun: nothing is applied any more.
    pub fn is_ending(&self) -> bool {
        self.ending.is_some()
    }

    /// Which service a run belongs to, while it lives.
    pub fn service_of(&self, run: Run) -> Option<&Name> {
        self.runs.get(&run)
    }

    /// Whether a spawn was ordered that has not been reported on.
    pub fn is_launching(&self) -> bool {
        self.slots.values().any(|slot| matches!(slot.state, State::Launching { .. }))
    }

    /// The names of services whose processes may hold their ports now.
    pub fn running(&self) -> BTreeSet<Name> {
        let live = self.slots.iter().filter(|(_, slot)| slot.live_run().is_some());
        live.map(|(name, _)| name.clone()).collect()
    }

    /// The services that should not run.
    pub fn unwanted(&self) -> BTreeSet<Name> {
        let unwanted = self.slots.iter().filter(|(_, slot)| !slot.wanted());
        unwanted.map(|(name, _)| name.clone()).collect()
    }

    /// The ports that processes were given which may be alive.
    pub fn ports_in_use(&self) -> BTreeSet<u16> {
        let live = self.slots.values().filter(|slot| slot.live_run().is_some());
        live.flat_map(|slot| slot.launched.ports.iter().map(|port| port.number)).collect()
    }

    /// The service of a live run, as it was started.
    pub fn launched(&self, run: Run) -> Option<&Arc<Service>> {
        let slot = self.slots.get(self.runs.get(&run)?)?;
        (slot.live_run() == Some(run)).then_some(&slot.launched)
    }

    /// A service as its live run was started, and that run; without one, as the next will be.
    pub fn launched_or_next(&self, name: &Name) -> Option<(&Arc<Service>, Option<Run>)> {
        let slot = self.slots.get(name)?;
        Some(match slot.live_run() {
            Some(run) => (&slot.launched, Some(run)),
            None => (&slot.service, None),
        })
    }

    /// Whether a live run is the first of its service.
    pub fn is_first(&self, run: Run) -> bool {
        let slot = self.runs.get(&run).and_then(|name| self.slots.get(name));
        slot.is_some_and(|slot| slot.runs <= 1)
    }

    /// The services that connections may wait for: they run and are to go on, or will start by themselves. Those that
    /// were stopped, gave up, or need what has failed are not among them, and none is in a shutdown.
    pub fn awaited(&self) -> impl Iterator<Item = &Arc<Service>> {
        let blocked = self.blocked();
        let ending = self.ending.is_some();
        let awaited = move |slot: &&Slot| {
            let over = matches!(slot.state, State::Over(_));
            !ending && slot.wanted() && !over && !blocked.contains_key(&slot.service.name)
        };
        self.slots.values().filter(awaited).map(|slot| &slot.service)
    }

    fn current(&mut self, run: Run) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(self.runs.get(&run)?)?;
        (slot.live_run() == Some(run)).then_some(slot)
    }
}

impl Slot {
    fn deadline(&self) -> Option<Time> {
        match self.state {
            State::Starting { ready_by, .. } => ready_by,
            State::Ready { at, .. } => (!self.ends.is_empty()).then_some(at + STABLE),
            State::Stopping { kill: KillAt::At(at), .. }
            | State::Draining { kill: KillAt::At(at), .. } => Some(at),
            State::Stopping { kill: KillAt::Held(at), .. }
            | State::Draining { kill: KillAt::Held(at), .. } => at,
            State::Backoff { until, .. } => Some(until),
            State::Idle
            | State::Launching { .. }
            | State::Late { .. }
            | State::Unwell { .. }
            | State::Stopping { kill: KillAt::Ordered | KillAt::Never, .. }
            | State::Draining { kill: KillAt::Ordered | KillAt::Never, .. }
            | State::Displaced { .. }
            | State::Over(_) => None,
        }
    }
}
