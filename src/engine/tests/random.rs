//! Random scripts in a simulated world, checked against the invariants of the engine.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::script::{moved, stack};
use crate::engine::{
    Effect, Engine, EngineTime, ExitBlame, Input, JobId, KilledTree, ShutdownMode, StartObstacle,
    Ticket, WhenIdle,
};
use crate::model::{
    Condition, EventKind, Message, MessageClass, Name, Phase, ProcessExit, RunId, Service,
    ServiceView, Stack, WaitCondition, WatchAction, WatchId,
};

/// Number of steps of all scripts together; `DEVSTACK_RANDOM_STEPS` overrides it.
const STEPS: u64 = 400_000;
const STEPS_A_SCRIPT: u64 = 400;

/// A small random number generator with a printable seed (xorshift64*).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % sides
    }
}

/// The real state of a run.
#[derive(Debug, PartialEq, Clone, Copy)]
enum Life {
    Ordered,
    Alive,
    Ended,
    /// Nothing of it is left; the engine has asked for an investigation.
    Examined,
}

/// Which debugged services a step may stop.
enum Asked {
    Nobody,
    These(Vec<Name>),
    All,
}

/// The simulated world: processes as the engine's orders made them.
struct World {
    seed: u64,
    now: EngineTime,
    stack: Arc<Stack>,
    lives: BTreeMap<RunId, (Arc<Service>, Life)>,
    /// The running watch commands, with their last order: 0 none, 1 stop, 2 kill.
    jobs: BTreeMap<JobId, (Name, u8)>,
    /// Runs that have not seen a change that should replace them.
    stale: BTreeSet<RunId>,
    reported: BTreeMap<Name, Phase>,
    stopped: BTreeSet<Name>,
    /// Services for which ports are being chosen.
    displaced: BTreeSet<Name>,
    /// Inspections of ports that have not been answered yet.
    inspected: Vec<Arc<Service>>,
    /// The service whose ports were just found clear.
    clear: Option<Name>,
    /// The run whose tree was last reported empty.
    emptied: Option<(RunId, Arc<Service>)>,
    open: BTreeSet<Ticket>,
    /// Requests that only wait, and what for.
    waits: BTreeMap<Ticket, (Vec<Name>, WaitCondition)>,
    tickets: u64,
    signalled: BTreeSet<RunId>,
    killed: BTreeSet<RunId>,
    /// Killed trees that are being inspected, and those known to have survived.
    overdue: BTreeSet<KilledTree>,
    survived: BTreeSet<KilledTree>,
    /// Services that may be stopped in this step despite being debugged.
    asked: Asked,
    ending: bool,
    halted: bool,
    log: Vec<String>,
}

impl World {
    fn fail(&self, what: &str) -> ! {
        let tail = self.log.len().saturating_sub(60);
        panic!("seed {}: {what}\n{}", self.seed, self.log[tail..].join("\n"));
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        let mut spawned = false;
        for effect in effects {
            self.log.push(format!("           {effect}"));
            match effect {
                Effect::InspectPorts { service, .. } => {
                    if self.ending || self.stopped.contains(&service.name) {
                        self.fail("an inspection for a service that is not wanted");
                    }
                    if self.displaced.contains(&service.name) {
                        self.fail("an inspection of a port that was taken");
                    }
                    self.inspected.push(service);
                }
                Effect::Spawn(run, service) => {
                    spawned = true;
                    if !service.ports.is_empty()
                        && self.clear.take().is_none_or(|it| it != service.name)
                    {
                        self.fail("a spawn on ports that were not inspected");
                    }
                    if self.ending {
                        self.fail("a spawn after the shutdown began");
                    }
                    if self.stopped.contains(&service.name) {
                        self.fail("a spawn of a service that was stopped");
                    }
                    if self.displaced.contains(&service.name) {
                        self.fail("a spawn on a port that was taken");
                    }
                    if self.lives.values().any(|(other, _)| other.name == service.name) {
                        self.fail("two copies of one service");
                    }
                    self.lives.insert(run, (service, Life::Ordered));
                }
                Effect::Stop(run, _) | Effect::Kill(run) => {
                    if spawned {
                        self.fail("a stop was decided after a start");
                    }
                    if !self.lives.contains_key(&run) {
                        self.fail("a stop or kill of a run that has exited");
                    }
                    let once = match effect {
                        Effect::Kill(_) => self.killed.insert(run),
                        _ => self.signalled.insert(run),
                    };
                    if !once {
                        self.fail("the same order twice");
                    }
                    self.spared(run);
                    self.in_order(run, matches!(effect, Effect::Stop(..)));
                }
                Effect::InspectSurvivors(tree) => {
                    let alive = match tree {
                        KilledTree::Run(run) => self.lives.contains_key(&run),
                        KilledTree::Job(job) => self.jobs.contains_key(&job),
                    };
                    if !alive || self.survived.contains(&tree) || !self.overdue.insert(tree) {
                        self.fail("an inspection of what has gone or was inspected");
                    }
                }
                Effect::Signal(run, _) => {
                    let alive = self.lives.get(&run).map(|(_, life)| *life) == Some(Life::Alive);
                    if !alive || self.signalled.contains(&run) || self.killed.contains(&run) {
                        self.fail("a signal to a run that is stopping");
                    }
                    if self.is_debugged(run) {
                        self.fail("a signal to a run that is being debugged");
                    }
                }
                Effect::StartJob(job, service, ..) => {
                    if service.mode.is_debug() {
                        self.fail("a command for a service in debug mode");
                    }
                    self.job(job, &service.name);
                }
                Effect::StopJob(job) => self.end_job(job, 1),
                Effect::KillJob(job) => self.end_job(job, 2),
                Effect::StartHealthProbes(run, _) if self.is_debugged(run) => {
                    self.fail("health probes of a run that is being debugged");
                }
                Effect::StartReadyProbes(run, _)
                | Effect::StartHealthProbes(run, _)
                | Effect::AwaitDebugger(run, _) => {
                    if self.lives.get(&run).map(|(_, life)| *life) != Some(Life::Alive) {
                        self.fail("a probe of a run that is not alive");
                    }
                }
                Effect::InvestigateExit(run, service) => {
                    let emptied = self.emptied.take();
                    if emptied.as_ref().map(|(run, _)| *run) != Some(run) {
                        self.fail("an investigation of a run that has not exited");
                    }
                    self.lives.insert(run, (service, Life::Examined));
                }
                Effect::ReassignPorts(name) => {
                    if self.ending || self.stopped.contains(&name) {
                        self.fail("ports for a service that is not wanted");
                    }
                    self.displaced.insert(name);
                }
                Effect::Emit(event) => self.hear(event.service, event.what),
                Effect::Answer(ticket, _) => {
                    if !self.open.remove(&ticket) {
                        self.fail("an answer to no open request");
                    }
                }
                Effect::Exit(_) => {
                    let runs = self.lives.keys().map(|run| KilledTree::Run(*run));
                    let mut left = runs.chain(self.jobs.keys().map(|job| KilledTree::Job(*job)));
                    if !left.all(|tree| self.survived.contains(&tree)) {
                        self.fail("halted with live runs or commands");
                    }
                    self.halted = true;
                }
            }
        }
    }

    fn is_debugged(&self, run: RunId) -> bool {
        self.lives.get(&run).is_some_and(|(service, _)| service.mode.is_debug())
    }

    /// A debugged run may be stopped because it loses a port before it is ready.
    fn robbed(&self, run: RunId) -> Asked {
        let name = self.lives.get(&run).map(|(service, _)| service.name.clone());
        let is_up =
            |name: &Name| matches!(self.reported.get(name), Some(Phase::Ready | Phase::Unhealthy));
        name.filter(|name| !is_up(name)).map_or(Asked::Nobody, |name| Asked::These(vec![name]))
    }

    /// Debugged runs stop only on request, on a configuration change, after losing a port before
    /// they are ready, or in a shutdown.
    fn spared(&self, run: RunId) {
        let (service, life) = &self.lives[&run];
        let asked = match &self.asked {
            Asked::Nobody => false,
            Asked::These(names) => names.contains(&service.name),
            Asked::All => true,
        };
        if service.mode.is_debug() && *life != Life::Ended && !asked && !self.ending {
            self.fail("a run that is being debugged was stopped");
        }
    }

    fn job(&mut self, job: JobId, name: &Name) {
        if self.ending || self.stopped.contains(name) {
            self.fail("a command for a service that was stopped");
        }
        if self.jobs.values().any(|(other, _)| other == name) {
            self.fail("two commands of one service");
        }
        self.jobs.insert(job, (name.clone(), 0));
    }

    fn end_job(&mut self, job: JobId, reported: u8) {
        match self.jobs.get_mut(&job) {
            Some((_, before)) if *before < reported => *before = reported,
            _ => self.fail("a command was stopped twice or does not exist"),
        }
    }

    fn job_ends(&mut self, dice: &mut Dice) -> Input {
        let jobs: Vec<JobId> = self.jobs.keys().copied().collect();
        let job = jobs[dice.roll(jobs.len() as u64) as usize];
        let (name, reported) = self.jobs.remove(&job).expect("the job was just picked");
        if reported == 0 && dice.roll(2) == 0 {
            return Input::JobEnded(job, Ok(()));
        }
        if reported == 0 {
            // After a failed build the old run stays.
            let lives = &self.lives;
            self.stale.retain(|run| lives.get(run).is_some_and(|(other, _)| other.name != name));
        }
        Input::JobEnded(job, Err(Message::new(MessageClass::Build, "it failed")))
    }

    fn save(&mut self, name: Name, dice: &mut Dice) -> Input {
        let place = dice.roll(3) as usize;
        let path = PathBuf::from(["/stack/a", "/stack/b", "/stack/c"][dice.roll(3) as usize]);
        let watches = self.stack.services.get(&name).map_or(&[][..], |service| &service.watch);
        let watch = watches.get(place).or(watches.first());
        let replaces = match watch.map(|watch| &watch.action) {
            Some(WatchAction::Restart { .. }) => true,
            Some(WatchAction::Signal(_) | WatchAction::Run(_)) | None => false,
        };
        if replaces && !self.stopped.contains(&name) {
            let lives = self.lives.iter().filter(|(_, (service, _))| service.name == name);
            self.stale.extend(lives.map(|(run, _)| *run));
        }
        Input::FilesChanged(BTreeMap::from([(WatchId { service: name, index: place }, path)]))
    }

    /// Every change is in the running process, or something is still being done about it.
    fn nothing_is_lost(&self, engine: &Engine) {
        for run in &self.stale {
            let Some((service, life)) = self.lives.get(run) else { continue };
            let over = matches!(*life, Life::Ended | Life::Examined);
            let going = over || self.signalled.contains(run) || self.killed.contains(run);
            let worked_on = self.jobs.values().any(|(name, _)| *name == service.name);
            let state = engine.services.get(&service.name);
            let held = state.is_some_and(|state| state.held_restart.is_some());
            if going || worked_on || held || self.ending {
                continue;
            }
            let view = engine.view_of(&service.name, |_| String::new());
            let message = view.and_then(|view| view.message);
            if message.is_none_or(|message| message.class != MessageClass::WatchDegraded) {
                self.fail(&format!("a change was lost: {} keeps running as {run}", service.name));
            }
        }
    }

    /// A graceful shutdown stops dependents before dependencies.
    fn in_order(&self, run: RunId, polite: bool) {
        let (service, _) = &self.lives[&run];
        let needed = |(other, _): &(Arc<Service>, Life)| {
            self.stack
                .services
                .get(&other.name)
                .is_some_and(|now| now.depends_on.contains_key(&service.name))
        };
        let hangs = |run: &RunId| self.survived.contains(&KilledTree::Run(*run));
        let mut waited = self.lives.iter().filter(|(run, _)| !hangs(run));
        if self.ending && polite && waited.any(|(_, life)| needed(life)) {
            self.fail("a dependency was stopped before its dependents were gone");
        }
    }

    fn hear(&mut self, service: Option<Name>, what: EventKind) {
        let (Some(service), EventKind::Phase { to, run, .. }) = (service, what) else { return };
        if to == Phase::Unhealthy && run.is_some_and(|run| self.is_debugged(run)) {
            self.fail("a run that is being debugged became unhealthy");
        }
        if matches!(to, Phase::Ready | Phase::Unhealthy) {
            let life = run.and_then(|run| self.lives.get(&run)).map(|(_, life)| *life);
            if life != Some(Life::Alive) {
                self.fail("ready without a living process");
            }
        }
        // It is no longer wanted, so it waits for nothing.
        if to == Phase::Idle {
            self.displaced.remove(&service);
        }
        self.reported.insert(service, to);
    }

    /// Returns something that may happen now, in any order the system could deliver it.
    fn next(&mut self, dice: &mut Dice) -> Input {
        let runs: Vec<RunId> = self.lives.keys().copied().collect();
        let pick = |dice: &mut Dice| {
            let names: Vec<&Name> = self.stack.services.keys().collect();
            names[dice.roll(names.len() as u64) as usize].clone()
        };
        if !self.overdue.is_empty() && dice.roll(2) == 0 {
            return self.survives();
        }
        if !runs.is_empty() && dice.roll(10) < 6 {
            let run = runs[dice.roll(runs.len() as u64) as usize];
            return self.fact(run, dice);
        }
        if !self.inspected.is_empty() && dice.roll(3) > 0 {
            let index = dice.roll(self.inspected.len() as u64) as usize;
            let taken = Message::new(MessageClass::Port, "taken");
            let verdict = match dice.roll(9) {
                0 => Err(StartObstacle::PortTaken(taken)),
                1 => Err(StartObstacle::PortLingers(5000)),
                _ => Ok(()),
            };
            return Input::PortsInspected(self.inspected.remove(index), verdict);
        }
        if !self.displaced.is_empty() && dice.roll(4) == 0 {
            return self.placed(dice);
        }
        if !self.jobs.is_empty() && dice.roll(8) == 0 {
            return self.job_ends(dice);
        }
        match dice.roll(27) {
            0 | 1 => {
                let name = pick(dice);
                self.stopped.remove(&name);
                for dep in self.dependencies(&name) {
                    self.stopped.remove(&dep);
                }
                Input::Start(self.ticket(), vec![name])
            }
            2 | 3 => {
                let name = pick(dice);
                self.stopped.insert(name.clone());
                self.displaced.remove(&name);
                Input::Stop(self.ticket(), vec![name])
            }
            4..=6 => {
                let name = pick(dice);
                self.stopped.remove(&name);
                for dep in self.dependencies(&name) {
                    self.stopped.remove(&dep);
                }
                Input::Restart(self.ticket(), vec![name])
            }
            7..=9 => {
                let name = pick(dice);
                self.save(name, dice)
            }
            19 => Input::StillChanging(dice.roll(2) == 0),
            16 => {
                let name = pick(dice);
                self.stopped.remove(&name);
                for dep in self.dependencies(&name) {
                    self.stopped.remove(&dep);
                }
                Input::Debug(self.ticket(), vec![name])
            }
            17 => {
                let name = pick(dice);
                Input::LeaveDebug(self.ticket(), vec![name])
            }
            18 if !runs.is_empty() => {
                Input::DebuggerListening(runs[dice.roll(runs.len() as u64) as usize])
            }
            22 | 23 => self.wait(dice),
            24 => {
                // May cancel a request that was answered or never made.
                let ticket = Ticket(dice.roll(self.tickets + 2));
                self.open.remove(&ticket);
                self.waits.remove(&ticket);
                Input::Cancel(ticket)
            }
            25 => Input::Connected(pick(dice)),
            26 => Input::Unused(pick(dice)),
            10 => Input::ProbesPassed(RunId(dice.roll(200)), "a stale probe".into()),
            15 => Input::TimeSkipped(Duration::from_millis(dice.roll(5000))),
            11 => Input::Exited(RunId(1_000_000 + dice.roll(9)), ProcessExit::Code(1)),
            // A shutdown accepts no other stack.
            12 if self.ending => Input::Apply(random_stack(dice)),
            12 => {
                // A service that leaves the stack is forgotten, including that the user stopped it.
                self.stale.clear();
                let old = std::mem::replace(&mut self.stack, random_stack(dice));
                let new = &self.stack.services;
                self.stopped
                    .retain(|name| new.contains_key(name) && old.services.contains_key(name));
                self.displaced.retain(|name| new.contains_key(name));
                Input::Apply(self.stack.clone())
            }
            13 if dice.roll(12) == 0 => self.shutdown(ShutdownMode::Polite),
            14 if dice.roll(20) == 0 => self.shutdown(ShutdownMode::Now),
            _ => Input::Tick,
        }
    }

    /// Answers an inspection, perhaps of a tree that has gone meanwhile.
    fn survives(&mut self) -> Input {
        let tree = self.overdue.pop_first().expect("one was ordered");
        let alive = match tree {
            KilledTree::Run(run) => self.lives.contains_key(&run),
            KilledTree::Job(job) => self.jobs.contains_key(&job),
        };
        if alive {
            self.survived.insert(tree);
        }
        Input::Survived(tree, Vec::new())
    }

    /// Whether something of a service is known to have survived its kill.
    fn hangs(&self, name: &Name) -> bool {
        self.survived.iter().any(|tree| match tree {
            KilledTree::Run(run) => self.lives.get(run).is_some_and(|(it, _)| it.name == *name),
            KilledTree::Job(job) => self.jobs.get(job).is_some_and(|(it, _)| it == name),
        })
    }

    fn wait(&mut self, dice: &mut Dice) -> Input {
        let names: Vec<Name> = self.stack.services.keys().cloned().collect();
        let picked = (0..dice.roll(3)).map(|_| dice.roll(names.len() as u64) as usize);
        let picked: Vec<Name> = picked.map(|at| names[at].clone()).collect();
        let all = [
            WaitCondition::Up,
            WaitCondition::Ready,
            WaitCondition::Completed,
            WaitCondition::Stopped,
        ];
        let until = all[dice.roll(4) as usize];
        let ticket = self.ticket();
        self.waits.insert(ticket, (picked.clone(), until));
        Input::Wait(ticket, picked, until)
    }

    /// A success must match the visible state, and a refusal must not contradict it.
    fn answered_truly(&self, engine: &Engine, ticket: Ticket, yes: bool) {
        let Some((names, until)) = self.waits.get(&ticket) else { return };
        let views = engine.views(|_| String::new());
        let is = |view: &&ServiceView| {
            let task = view.kind.is_task();
            let done = view.phase == Phase::Done;
            match until {
                WaitCondition::Up if task => done,
                WaitCondition::Up => matches!(view.phase, Phase::Ready | Phase::Asleep),
                WaitCondition::Ready => view.phase == Phase::Ready || (task && done),
                WaitCondition::Completed => done,
                WaitCondition::Stopped => {
                    use Phase::{Asleep, Blocked, Done, Failed, Idle};
                    matches!(view.phase, Idle | Asleep | Blocked | Done | Failed)
                        && !self.hangs(&view.name)
                }
            }
        };
        let of = |name: &Name| views.iter().find(|view| view.name == *name);
        let so = |name: &Name| of(name).map_or(*until == WaitCondition::Stopped, |view| is(&view));
        if yes && !names.iter().all(so) {
            self.fail(&format!("{ticket:?} was answered before {names:?} were {until:?}"));
        }
        if !yes && !self.ending && !names.is_empty() && names.iter().all(so) {
            self.fail(&format!("{ticket:?} was refused although {names:?} were {until:?}"));
        }
        let hangs = |name: &Name| self.hangs(name);
        let none = match names.as_slice() {
            [] => self.survived.is_empty(),
            names => !names.iter().any(hangs),
        };
        if !yes && *until == WaitCondition::Stopped && none {
            self.fail("a wait for a stop was refused");
        }
    }

    /// Assigns ports to all services that wait for one, sometimes without success.
    fn placed(&mut self, dice: &mut Dice) -> Input {
        let mut outcome = BTreeMap::new();
        for name in std::mem::take(&mut self.displaced) {
            let placed = match dice.roll(4) {
                0 => Err(Message::new(MessageClass::Port, "held")),
                1 => Ok(()),
                _ => {
                    self.stack = moved(&self.stack, &name, 6000 + dice.roll(9) as u16);
                    Ok(())
                }
            };
            outcome.insert(name, placed);
        }
        Input::PortsReassigned { stack: self.stack.clone(), outcome }
    }

    fn dependencies(&self, name: &Name) -> Vec<Name> {
        let mut found = Vec::new();
        let mut open = vec![name.clone()];
        while let Some(name) = open.pop() {
            for dep in self.stack.services.get(&name).into_iter().flat_map(|s| s.depends_on.keys())
            {
                found.push(dep.clone());
                open.push(dep.clone());
            }
        }
        found
    }

    fn fact(&mut self, run: RunId, dice: &mut Dice) -> Input {
        let (service, life) = self.lives.get_mut(&run).expect("the run was just picked");
        let ported = !service.ports.is_empty();
        match *life {
            Life::Ordered if dice.roll(12) == 0 => {
                self.lives.remove(&run);
                Input::SpawnFailed(run, Message::new(MessageClass::Spawn, "no such program"))
            }
            Life::Ordered => {
                *life = Life::Alive;
                Input::Spawned(run, run.0 as u32)
            }
            Life::Alive if ported && dice.roll(8) == 0 => {
                Input::PortLost(run, Message::new(MessageClass::Port, "taken"))
            }
            Life::Alive => match dice.roll(8) {
                4 => Input::HealthFailed(run, "it answered 500".into()),
                5 => Input::HealthRecovered(run),
                0 => Input::ProbesPassed(run, "it answered".into()),
                1 => Input::ProbeFailed(run, "refused".into()),
                6 => Input::ListeningOn(run, Vec::new()),
                7 => Input::ListenWarnings(run, vec![Message::new(MessageClass::Port, "open")]),
                2 => {
                    *life = Life::Ended;
                    Input::Exited(run, ProcessExit::Code([0, 0, 1, 2][dice.roll(4) as usize]))
                }
                _ if self.signalled.contains(&run) || self.killed.contains(&run) => {
                    *life = Life::Ended;
                    Input::Exited(run, ProcessExit::Signal(15))
                }
                _ => Input::Tick,
            },
            Life::Ended => {
                self.emptied = self.lives.remove(&run).map(|(service, _)| (run, service));
                Input::TreeEmpty(run)
            }
            Life::Examined => {
                let ports = self.lives.remove(&run).map_or(0, |(service, _)| service.ports.len());
                let message = Message::new(MessageClass::Port, "taken");
                let excuse = match dice.roll(if ports == 0 { 5 } else { 9 }) {
                    0 | 1 => ExitBlame::None,
                    2 => ExitBlame::CannotRun(message),
                    3 => ExitBlame::InsistsOnPort(message),
                    4 => ExitBlame::PortLingers(5000),
                    5 | 6 => ExitBlame::PortTaken(message),
                    7 => ExitBlame::MayInsistOnPort(message),
                    _ => ExitBlame::ReservationInTheWay(message),
                };
                Input::ExitInvestigated(run, excuse)
            }
        }
    }

    fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        self.open.insert(Ticket(self.tickets));
        Ticket(self.tickets)
    }

    fn shutdown(&mut self, haste: ShutdownMode) -> Input {
        self.ending = true;
        Input::Shutdown { ticket: Some(self.ticket()), why: "the test".into(), code: 0, haste }
    }
}

/// Returns up to six services; each may need earlier ones, so there is no cycle.
fn random_stack(dice: &mut Dice) -> Arc<Stack> {
    let mut text = String::new();
    for i in 0..1 + dice.roll(6) {
        let words = [
            "probe", "task", "watch", "watch=build", "watch=run", "watch=HUP", "manual",
            "policy=no", "policy=always", "command=x", "health=report", "health=restart",
            "debug=5678",
        ];
        let mut line = format!("s{i}: grace={}", 100 + dice.roll(3) * 1000);
        for word in words {
            if dice.roll(4) == 0 {
                line += &format!(", {word}");
            }
        }
        if dice.roll(2) == 0 {
            line += &format!(", port=500{i}");
            if dice.roll(3) == 0 && !line.contains("task") {
                line += [", lazy", ", lazy, idle=900"][dice.roll(2) as usize];
            }
        }
        for dep in 0..i {
            if dice.roll(3) == 0 {
                let condition = ["started", "ready", "completed"][dice.roll(3) as usize];
                line += &format!(", needs s{dep}={condition}");
            }
        }
        text += &(line + "\n");
    }
    stack(&text)
}

fn play(seed: u64) {
    let mut dice = Dice(seed | 1);
    for _ in 0..8 {
        dice.roll(2);
    }
    let stack = random_stack(&mut dice);
    let mut engine = Engine::new(None, WhenIdle::AwaitSave);
    let mut world = World {
        seed,
        now: Duration::ZERO,
        stack: stack.clone(),
        lives: BTreeMap::new(),
        jobs: BTreeMap::new(),
        stale: BTreeSet::new(),
        reported: BTreeMap::new(),
        stopped: BTreeSet::new(),
        displaced: BTreeSet::new(),
        inspected: Vec::new(),
        clear: None,
        emptied: None,
        open: BTreeSet::new(),
        waits: BTreeMap::new(),
        tickets: 0,
        signalled: BTreeSet::new(),
        killed: BTreeSet::new(),
        overdue: BTreeSet::new(),
        survived: BTreeSet::new(),
        asked: Asked::All,
        ending: false,
        halted: false,
        log: Vec::new(),
    };
    let first = engine.step(world.now, [Input::Apply(stack)]);
    world.carry_out(first);
    for _ in 0..STEPS_A_SCRIPT {
        if world.halted {
            break;
        }
        let deadline = engine.next_deadline();
        let input = match deadline {
            Some(at) if dice.roll(5) == 0 => {
                world.now = world.now.max(at);
                Input::Tick
            }
            _ => {
                let later = world.now + Duration::from_millis(dice.roll(40));
                world.now = deadline.map_or(later, |at| later.min(at.max(world.now)));
                world.next(&mut dice)
            }
        };
        advance(&mut engine, &mut world, input);
    }
    finish(engine, world, dice);
}

fn advance(engine: &mut Engine, world: &mut World, input: Input) {
    let shown = match &input {
        Input::Apply(_) => "Apply".to_owned(),
        other => format!("{other:?}"),
    };
    world.log.push(format!("{:>9?} {shown}", world.now));
    world.asked = match &input {
        Input::Apply(_) | Input::PortsReassigned { .. } => Asked::All,
        Input::PortLost(run, _) => world.robbed(*run),
        Input::Stop(_, names) | Input::Restart(_, names) => Asked::These(names.clone()),
        _ => Asked::Nobody,
    };
    world.clear = match &input {
        Input::PortsInspected(service, Ok(())) => Some(service.name.clone()),
        _ => None,
    };
    let woken = match &input {
        Input::Connected(name) => Some(name.clone()),
        _ => None,
    };
    let effects = engine.step(world.now, [input]);
    dependencies_hold(engine, world, &effects);
    awaited_rightly(engine, world, &effects);
    doors_are_right(engine, world, &effects, woken);
    for effect in &effects {
        if let Effect::Answer(ticket, answer) = effect {
            world.answered_truly(engine, *ticket, answer.is_ok());
        }
    }
    world.carry_out(effects);
    world.nothing_is_lost(engine);
    if engine.next_deadline().is_some_and(|at| at <= world.now) && !world.halted {
        world.fail("a deadline that has passed is still there: the loop would spin");
    }
}

/// Connections may wait for every service that starts, but for none that was stopped.
fn awaited_rightly(engine: &Engine, world: &World, effects: &[Effect]) {
    let awaited: BTreeSet<&Name> =
        engine.expected_services().map(|service| &service.name).collect();
    if world.ending && !awaited.is_empty() {
        world.fail(&format!("services are expected during a shutdown: {awaited:?}"));
    }
    if awaited.iter().any(|name| world.stopped.contains(*name)) {
        world.fail(&format!("a stopped service is expected: {awaited:?}"));
    }
    for effect in effects {
        if let Effect::Spawn(_, service) = effect
            && !awaited.contains(&service.name)
        {
            world.fail(&format!("{} starts but is not expected", service.name));
        }
    }
}

/// devstack listens for whatever sleeps, and passes nobody on to what is not up. A client wakes what
/// it connects to.
fn doors_are_right(engine: &Engine, world: &World, effects: &[Effect], woken: Option<Name>) {
    let doors: Vec<_> = engine.doors().collect();
    for view in engine.views(|_| String::new()) {
        let door = doors.iter().find(|door| door.service.name == view.name);
        if view.phase == Phase::Asleep && door.is_none() {
            world.fail(&format!("nobody listens for {}, which is asleep", view.name));
        }
        if view.phase == Phase::Asleep && woken.as_ref() == Some(&view.name) {
            world.fail(&format!("a client does not wake {}", view.name));
        }
        let is_open = door.is_some_and(|door| door.open_to.is_some());
        if is_open && !matches!(view.phase, Phase::Ready | Phase::Unhealthy) {
            world.fail(&format!("clients are passed on to {}, {}", view.name, view.phase));
        }
    }
    if doors.iter().any(|door| world.stopped.contains(&door.service.name)) {
        world.fail("devstack listens for a service that was stopped");
    }
    for effect in effects {
        let Effect::Stop(run, _) = effect else { continue };
        let (service, _) = &world.lives[run];
        let mut open = doors.iter().filter(|door| door.open_to.is_some());
        if open.any(|door| door.service.name == service.name) {
            world.fail("clients are passed on to a run that is stopping");
        }
    }
}

/// Dependencies are satisfied in the very step that starts a service.
fn dependencies_hold(engine: &Engine, world: &World, effects: &[Effect]) {
    let views = engine.views(|_| String::new());
    for effect in effects {
        let Effect::Spawn(_, service) = effect else { continue };
        for (dep, condition) in &service.depends_on {
            let view = views.iter().find(|view| view.name == *dep).expect("a checked stack");
            let holds = match condition {
                Condition::Started => view.pid.is_some() || view.phase == Phase::Done,
                Condition::Ready => matches!(view.phase, Phase::Ready | Phase::Done),
                Condition::Completed => view.phase == Phase::Done,
            };
            if !holds {
                world.fail(&format!("{} starts although {dep} is not {condition}", service.name));
            }
        }
    }
}

/// Whatever happened before, a shutdown completes and every request gets an answer.
fn finish(mut engine: Engine, mut world: World, mut dice: Dice) {
    if !world.halted {
        let input = world.shutdown(ShutdownMode::Polite);
        advance(&mut engine, &mut world, input);
    }
    for _ in 0..10_000 {
        if world.halted {
            break;
        }
        let runs: Vec<RunId> = world.lives.keys().copied().collect();
        let jobs = !world.jobs.is_empty() && (runs.is_empty() || dice.roll(3) == 0);
        let input = match runs.get(dice.roll(runs.len().max(1) as u64) as usize) {
            _ if !world.overdue.is_empty() && dice.roll(3) == 0 => world.survives(),
            _ if jobs => world.job_ends(&mut dice),
            Some(run) => world.fact(*run, &mut dice),
            None => world.fail("nothing is alive, but the engine does not exit"),
        };
        world.now = engine
            .next_deadline()
            .map_or(world.now, |at| if dice.roll(4) == 0 { at.max(world.now) } else { world.now });
        advance(&mut engine, &mut world, input);
    }
    if !world.halted {
        world.fail("the shutdown does not complete");
    }
    if !world.open.is_empty() {
        world.fail("a request was never answered");
    }
}

#[test]
fn random_scripts_obey_the_invariants() {
    let steps = std::env::var("DEVSTACK_RANDOM_STEPS").ok().and_then(|text| text.parse().ok());
    for script in 0..steps.unwrap_or(STEPS) / STEPS_A_SCRIPT {
        play(0x9E37_79B9_7F4A_7C15 ^ (script * 0x1_0001));
    }
}

/// 500 services in a chain and 500 around one: no recursion, every start in order.
#[test]
fn long_chains_and_wide_stars_start() {
    let mut chain = "s0: \n".to_owned();
    let mut star = "s0: \n".to_owned();
    for i in 1..500 {
        chain += &format!("s{i}: needs s{}=ready\n", i - 1);
        star += &format!("s{i}: needs s0=ready\n");
    }
    for text in [chain, star] {
        let mut engine = Engine::new(None, WhenIdle::AwaitSave);
        let mut effects = engine.step(Duration::ZERO, [Input::Apply(stack(&text))]);
        let mut started = 0;
        while !effects.is_empty() {
            let spawns = effects.iter().filter_map(|effect| match effect {
                Effect::Spawn(run, _) => Some(*run),
                _ => None,
            });
            let facts: Vec<Input> = spawns.map(|run| Input::Spawned(run, run.0 as u32)).collect();
            started += facts.len();
            effects = engine.step(Duration::ZERO, facts);
        }
        assert_eq!(started, 500);
        assert!(engine.views(|_| String::new()).iter().all(|view| view.phase == Phase::Ready));
    }
}
