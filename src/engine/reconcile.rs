use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use super::slot::{KillAt, Listening, Outcome, Slot, State, Time, Want};
use super::{Blocked, Effect, Engine, Haste, RESPAWNS_A_SECOND};
use crate::model::{
    Cause, Condition, Dependency, DisplayDuration, Event, EventKind, Message, MessageClass, Name,
    RunId, Service, ServiceKind,
};

/// The second move of a step: stop what must not run, then start what should.
impl Engine {
    /// Acts on expired deadlines.
    pub(super) fn expire(&mut self, now: Time, effects: &mut Vec<Effect>) {
        let capped = self.ending.as_ref().is_some_and(|ending| now >= ending.cap);
        if let Some(ending) = self.ending.as_mut().filter(|_| capped) {
            ending.haste = Haste::Now;
        }
        let second = Duration::from_secs(1);
        while self.respawns.front().is_some_and(|at| *at + second <= now) {
            self.respawns.pop_front();
        }
        for slot in self.slots.values_mut() {
            slot.expire(now, effects);
            slot.saves.expire(now, effects);
            slot.miss_debugger(now, effects);
            slot.respawn(now, &mut self.respawns);
        }
    }

    /// Stops what must not run.
    pub(super) fn lower(&mut self, now: Time, effects: &mut Vec<Effect>) {
        match self.ending.as_ref().map(|ending| (ending.haste, ending.why.clone())) {
            None => {
                for slot in self.slots.values_mut() {
                    slot.follow_saves(now, &mut self.jobs, effects);
                    if let Some(why) = slot.reason_to_stop() {
                        slot.stop(now, why, effects);
                    }
                }
            }
            Some((Haste::Now, why)) => {
                for slot in self.slots.values_mut() {
                    slot.saves.stop(KillAt::Ordered, effects);
                    slot.kill(&why, effects);
                }
            }
            Some((Haste::Polite, why)) => self.lower_in_order(now, &why, effects),
        }
        self.forget_removed(effects);
    }

    /// Drops services that are no longer in the stack once nothing of them is left.
    fn forget_removed(&mut self, effects: &mut Vec<Effect>) {
        self.slots.retain(|_, slot| {
            let stays = slot.want != Want::Removed || slot.is_live();
            if !stays {
                slot.say(EventKind::ServiceRemoved, effects);
            }
            stays
        });
    }

    /// Stops dependents before dependencies: a service stops once no live service needs it.
    fn lower_in_order(&mut self, now: Time, why: &Cause, effects: &mut Vec<Effect>) {
        for slot in self.slots.values_mut().filter(|slot| slot.saves.is_working()) {
            let kill = KillAt::At(now + slot.service.stop.grace);
            slot.saves.stop(kill, effects);
        }
        if !self.slots.values().any(Slot::is_stoppable) {
            return;
        }
        let live = self.slots.values().filter(|slot| slot.is_live());
        let needed: BTreeSet<Name> =
            live.flat_map(|slot| slot.service.depends_on.keys().cloned()).collect();
        for (name, slot) in &mut self.slots {
            if let State::Backoff { .. } | State::Displaced { .. } = slot.state {
                slot.state = State::Idle;
            } else if !needed.contains(name) {
                slot.stop(now, why.clone(), effects);
            }
        }
    }

    /// Starts what should and can run.
    pub(super) fn raise(&mut self, now: Time, effects: &mut Vec<Effect>) {
        if self.ending.is_some() || !self.slots.values().any(Slot::is_pending) {
            return;
        }
        for name in self.order.clone() {
            let Some(slot) = self.slots.get(&name) else { continue };
            let held = !slot.is_pending() || !self.needs(slot).is_empty();
            if held || self.port_in_the_way(slot).is_some() || self.former(slot).is_some() {
                continue;
            }
            if self.waits_for_files(slot) {
                continue;
            }
            let run = RunId(self.next_run);
            self.next_run += 1;
            self.runs.insert(run, name.clone());
            let slot = self.slots.get_mut(&name).expect("the slot was just read");
            slot.launch(now, run);
            effects.push(Effect::Spawn(run, slot.service.clone()));
        }
    }

    /// Returns a port of `slot` that another live run was started with: ports may change owners.
    pub(super) fn port_in_the_way(&self, slot: &Slot) -> Option<(u16, Name)> {
        let numbers = |service: &Service| service.ports.iter().map(|port| port.number).collect();
        let wanted: Vec<u16> = numbers(&slot.service);
        if wanted.is_empty() || !self.changed {
            return None;
        }
        let others = self
            .slots
            .values()
            .filter(|other| other.live_run().is_some() && other.service.name != slot.service.name);
        others.into_iter().find_map(|other| {
            let held: Vec<u16> = numbers(&other.launched);
            // A service that keeps the port will not release it; the check before the start sees
            // it.
            let stays = if other.wanted() { numbers(&other.service) } else { Vec::new() };
            let leaves = |port: &u16| wanted.contains(port) && !stays.contains(port);
            let port = held.into_iter().find(leaves)?;
            Some((port, other.service.name.clone()))
        })
    }

    /// Returns the former name of a renamed service while something still runs under it.
    pub(super) fn former(&self, slot: &Slot) -> Option<Name> {
        let former = slot.after.as_ref()?;
        let gone = |old: &Slot| old.want == Want::Removed && old.live_run().is_some();
        self.slots.get(former).is_some_and(gone).then(|| former.clone())
    }

    /// Whether a service that restarts because of a file change waits for more changes.
    pub(super) fn waits_for_files(&self, slot: &Slot) -> bool {
        self.files_changing && matches!(slot.because, Some(Cause::FileChanged(_)))
    }

    /// Returns the dependencies a service waits for. Those left out with `--no-deps` do not count.
    pub(super) fn needs(&self, slot: &Slot) -> Vec<Dependency> {
        let all = self.selection.as_ref().is_none_or(|selection| selection.with_dependencies);
        let open = slot.service.depends_on.iter().filter(|(name, condition)| {
            match self.slots.get(*name) {
                None => false,
                Some(dep) if !all && dep.want == Want::No => false,
                Some(dep) => !dep.holds(**condition),
            }
        });
        open.map(|(name, condition)| Dependency { service: name.clone(), condition: *condition })
            .collect()
    }

    /// Returns the wanted services that cannot start because a dependency has failed, with the root
    /// cause. Goes in dependency order, so a long chain needs no recursion.
    pub(super) fn blocked(&self) -> Blocked {
        let mut blocked = Blocked::new();
        // Nothing starts during a shutdown.
        if self.ending.is_some() || !self.slots.values().any(Slot::is_pending) {
            return blocked;
        }
        for name in &self.order {
            let Some(slot) = self.slots.get(name).filter(|slot| slot.is_pending()) else {
                continue;
            };
            let root = self.needs(slot).into_iter().find_map(|need| {
                let dep = self.slots.get(&need.service)?;
                match blocked.get(&need.service) {
                    Some(message) => Some(message.clone()),
                    None => dep.hopeless(need.condition),
                }
            });
            if let Some(root) = root {
                blocked.insert(name.clone(), root);
            }
        }
        blocked
    }
}

impl Slot {
    fn expire(&mut self, now: Time, effects: &mut Vec<Effect>) {
        match &mut self.state {
            State::Starting { run, pid, spawned, ready_by: Some(by) } if *by <= now => {
                // Listening elsewhere explains more than nothing listening on the expected port.
                let remark = self.remarks.first().map(|remark| remark.text.clone());
                let last = remark.or_else(|| self.failing.clone());
                let last = last.unwrap_or_else(|| "no probe result yet".into());
                let limit = DisplayDuration(self.service.ready.timeout);
                let message = Message::new(
                    MessageClass::ReadyTimeout,
                    format!("not ready within {limit}: {last}"),
                )
                .help("raise `ready.timeout` if it needs longer; it keeps running and is still probed");
                self.state = State::Late { run: *run, pid: *pid, spawned: *spawned, message };
            }
            State::Ready { at, .. } if *at + super::STABLE <= now => self.ends.clear(),
            State::Stopping { kill: kill @ KillAt::Held(Some(_)), why, .. } => {
                if matches!(kill, KillAt::Held(Some(at)) if *at <= now) {
                    *kill = KillAt::Held(None);
                    let why = why.clone();
                    self.tell_held_stop(&why, effects);
                }
            }
            State::Stopping { run, kill, .. } | State::Draining { run, kill, .. } => {
                if matches!(kill, KillAt::At(at) if *at <= now) {
                    *kill = KillAt::Ordered;
                    effects.push(Effect::Kill(*run));
                    let message = Message::new(
                        MessageClass::StopTimeout,
                        format!(
                            "{} did not stop within {}; killing it",
                            self.service.name,
                            DisplayDuration(self.service.stop.grace)
                        ),
                    )
                    .help("adjust `stop.grace` (the limit) or `stop.signal`");
                    let service = Some(self.service.name.clone());
                    effects.push(Effect::Tell(Event { service, what: EventKind::Note(message) }));
                }
            }
            State::Idle
            | State::Launching { .. }
            | State::Starting { .. }
            | State::Late { .. }
            | State::Ready { .. }
            | State::Unwell { .. }
            | State::Backoff { .. }
            | State::Displaced { .. }
            | State::Over(_) => {}
        }
    }

    /// Ends an expired back-off, or extends it if too many services have just restarted.
    fn respawn(&mut self, now: Time, respawns: &mut VecDeque<Time>) {
        let State::Backoff { until, .. } = &mut self.state else { return };
        if *until > now {
            return;
        }
        match respawns.front() {
            Some(first) if respawns.len() >= RESPAWNS_A_SECOND => {
                *until = *first + Duration::from_secs(1);
            }
            Some(_) | None => {
                respawns.push_back(now);
                self.because = self.exit.map(Cause::RestartedAfter);
                self.state = State::Idle;
            }
        }
    }

    fn reason_to_stop(&self) -> Option<Cause> {
        match &self.want {
            Want::No => Some(Cause::NotAsked),
            Want::Stopped => Some(Cause::Requested("stop")),
            Want::Removed => Some(Cause::Removed),
            Want::Yes(_) => self.restart.clone(),
        }
    }

    /// Orders a stop if something runs and none was ordered yet.
    fn stop(&mut self, now: Time, why: Cause, effects: &mut Vec<Effect>) {
        match self.state {
            State::Launching { run, .. }
            | State::Starting { run, .. }
            | State::Late { run, .. }
            | State::Ready { run, .. }
            | State::Unwell { run, .. } => {
                effects.push(Effect::Stop(run, self.service.stop.clone()));
                let kill = self.kill_at(now);
                self.state = State::Stopping { run, pid: self.pid(), why, kill };
                self.restart = None;
            }
            State::Backoff { .. } | State::Displaced { .. } => self.state = State::Idle,
            State::Idle | State::Stopping { .. } | State::Draining { .. } | State::Over(_) => {}
        }
    }

    /// Orders a kill of everything left.
    fn kill(&mut self, why: &Cause, effects: &mut Vec<Effect>) {
        let pid = self.pid();
        match &mut self.state {
            State::Launching { run, .. }
            | State::Starting { run, .. }
            | State::Late { run, .. }
            | State::Ready { run, .. }
            | State::Unwell { run, .. } => {
                let run = *run;
                effects.push(Effect::Kill(run));
                let why = why.clone();
                self.state = State::Stopping { run, pid, why, kill: KillAt::Ordered };
                self.restart = None;
            }
            State::Stopping { run, kill, .. } | State::Draining { run, kill, .. } => {
                if *kill != KillAt::Ordered {
                    *kill = KillAt::Ordered;
                    effects.push(Effect::Kill(*run));
                }
            }
            State::Backoff { .. } | State::Displaced { .. } => self.state = State::Idle,
            State::Idle | State::Over(_) => {}
        }
    }

    /// Whether it should run and only its dependencies decide when it starts.
    fn is_pending(&self) -> bool {
        self.wanted() && matches!(self.state, State::Idle)
    }

    /// Whether it runs or will run again, and no stop was ordered.
    fn is_stoppable(&self) -> bool {
        match self.state {
            State::Launching { .. }
            | State::Starting { .. }
            | State::Late { .. }
            | State::Ready { .. }
            | State::Unwell { .. }
            | State::Backoff { .. }
            | State::Displaced { .. } => true,
            State::Idle | State::Stopping { .. } | State::Draining { .. } | State::Over(_) => false,
        }
    }

    fn launch(&mut self, now: Time, run: RunId) {
        let why = match (self.because.take(), &self.want) {
            (Some(why), _) => why,
            (None, Want::Yes(why)) => why.clone(),
            (None, Want::No | Want::Stopped | Want::Removed) => Cause::NotAsked,
        };
        if let Cause::FileChanged(path) = &why {
            self.past.triggered(now, path.clone(), "restart".to_owned());
        }
        self.past.spawned = None;
        self.state = State::Launching { run, why };
        self.restart = None;
        self.launched = self.service.clone();
        self.run = Some(run);
        self.runs += 1;
        self.failing = None;
        self.note = None;
        self.listening = None;
        self.remarks.clear();
        self.ready_after = None;
        self.debugger = Listening::Unknown;
        self.saves.begin_run(self.service.mode.is_debug());
    }

    fn holds(&self, condition: Condition) -> bool {
        let done = matches!(self.state, State::Over(Outcome::Done(_)));
        match condition {
            Condition::Started => self.pid().is_some() || done,
            Condition::Ready => {
                matches!(self.state, State::Ready { .. })
                    || (done && self.service.kind == ServiceKind::Task)
            }
            Condition::Completed => done,
        }
    }

    /// Returns why a condition on this service will not come true on its own.
    fn hopeless(&self, condition: Condition) -> Option<Message> {
        let name = &self.service.name;
        let because = |text: &str| {
            Message::new(MessageClass::DepFailed, format!("dependency {name} ({condition}) {text}"))
                .help(format!(
                    "fix {name}; this service then starts automatically, or run `devstack restart {name}`"
                ))
        };
        // The user may or may not start it again, so waiting clients get an answer now.
        if self.want == Want::Stopped && !matches!(self.state, State::Over(_)) {
            let text = format!("dependency {name} ({condition}) was stopped");
            let help =
                format!("run `devstack start {name}`; its dependents then start automatically");
            return Some(Message::new(MessageClass::DepFailed, text).help(help));
        }
        match &self.state {
            State::Over(Outcome::Failed(message)) => {
                Some(because(&format!("failed: {}", message.text)))
            }
            State::Over(Outcome::Done(exit)) => Some(because(&format!("exited ({exit})"))),
            State::Late { message, .. } if condition == Condition::Ready => {
                Some(because(&format!("timed out: {}", message.text)))
            }
            State::Idle
            | State::Launching { .. }
            | State::Starting { .. }
            | State::Late { .. }
            | State::Ready { .. }
            | State::Unwell { .. }
            | State::Stopping { .. }
            | State::Draining { .. }
            | State::Backoff { .. }
            | State::Displaced { .. } => None,
        }
    }
}
