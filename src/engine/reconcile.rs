use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use super::service_state::{
    DebuggerState, DesiredState, EngineTime, KillDeadline, RunState, ServiceOutcome, ServiceState,
};
use super::{BlockedServices, Effect, Engine, MAX_RESTARTS_PER_SECOND, ShutdownMode};
use crate::model::{
    Cause, Condition, Dependency, DisplayDuration, Event, EventKind, Message, MessageClass, Name,
    RunId, Service, ServiceKind,
};

/// The second move of a step: stop what must not run, then start what should.
impl Engine {
    /// Acts on expired deadlines.
    pub(super) fn expire(&mut self, now: EngineTime, effects: &mut Vec<Effect>) {
        let capped = self.shutdown.as_ref().is_some_and(|ending| now >= ending.cap);
        if let Some(ending) = self.shutdown.as_mut().filter(|_| capped) {
            ending.haste = ShutdownMode::Now;
        }
        let second = Duration::from_secs(1);
        while self.recent_restarts.front().is_some_and(|at| *at + second <= now) {
            self.recent_restarts.pop_front();
        }
        for slot in self.services.values_mut() {
            slot.expire(now, effects);
            slot.saves.expire(now, effects);
            slot.report_missing_debugger(now, effects);
            slot.end_back_off(now, &mut self.recent_restarts);
        }
    }

    /// Stops what must not run.
    pub(super) fn stop_unwanted(&mut self, now: EngineTime, effects: &mut Vec<Effect>) {
        match self.shutdown.as_ref().map(|ending| (ending.haste, ending.why.clone())) {
            None => {
                for slot in self.services.values_mut() {
                    slot.run_due_actions(now, &mut self.last_job, effects);
                    if let Some(why) = slot.reason_to_stop() {
                        slot.stop(now, why, effects);
                    }
                }
            }
            Some((ShutdownMode::Now, why)) => {
                for slot in self.services.values_mut() {
                    slot.saves.stop(KillDeadline::Ordered, effects);
                    slot.kill(&why, effects);
                }
            }
            Some((ShutdownMode::Polite, why)) => self.stop_in_order(now, &why, effects),
        }
        self.drop_removed(effects);
    }

    /// Drops services that are no longer in the stack once nothing of them is left.
    fn drop_removed(&mut self, effects: &mut Vec<Effect>) {
        self.services.retain(|_, slot| {
            let stays = slot.desired != DesiredState::Removed || slot.is_live();
            if !stays {
                slot.emit(EventKind::ServiceRemoved, effects);
            }
            stays
        });
    }

    /// Stops dependents before dependencies: a service stops once no live service needs it.
    fn stop_in_order(&mut self, now: EngineTime, why: &Cause, effects: &mut Vec<Effect>) {
        for slot in self.services.values_mut().filter(|slot| slot.saves.is_working()) {
            let kill = KillDeadline::At(now + slot.service.stop.grace);
            slot.saves.stop(kill, effects);
        }
        if !self.services.values().any(ServiceState::is_stoppable) {
            return;
        }
        let live = self.services.values().filter(|slot| slot.is_live());
        let needed: BTreeSet<Name> =
            live.flat_map(|slot| slot.service.depends_on.keys().cloned()).collect();
        for (name, slot) in &mut self.services {
            if let RunState::Backoff { .. } | RunState::Displaced { .. } = slot.state {
                slot.state = RunState::Idle;
            } else if !needed.contains(name) {
                slot.stop(now, why.clone(), effects);
            }
        }
    }

    /// Starts what should and can run.
    pub(super) fn start_wanted(&mut self, now: EngineTime, effects: &mut Vec<Effect>) {
        let clear = std::mem::take(&mut self.clear_ports);
        if self.shutdown.is_some() || !self.services.values().any(ServiceState::is_waiting_to_start)
        {
            return;
        }
        for name in self.order.clone() {
            let Some(slot) = self.services.get(&name) else { continue };
            let held = !slot.is_waiting_to_start() || !self.unmet_dependencies(slot).is_empty();
            if held
                || self.port_blocked_by(slot).is_some()
                || self.renamed_from_live(slot).is_some()
            {
                continue;
            }
            if self.waits_for_files(slot) {
                continue;
            }
            if !slot.service.ports.is_empty() && !clear.contains(&name) {
                let slot = self.services.get_mut(&name).expect("the slot was just read");
                slot.inspect_ports(effects);
                continue;
            }
            let run = RunId(self.next_run);
            self.next_run += 1;
            self.runs.insert(run, name.clone());
            let slot = self.services.get_mut(&name).expect("the slot was just read");
            slot.launch(now, run);
            effects.push(Effect::Spawn(run, slot.service.clone()));
        }
    }

    /// Returns a port of `slot` that another live run was started with: ports may change owners.
    pub(super) fn port_blocked_by(&self, slot: &ServiceState) -> Option<(u16, Name)> {
        let numbers = |service: &Service| service.ports.iter().map(|port| port.number).collect();
        let wanted: Vec<u16> = numbers(&slot.service);
        if wanted.is_empty() || !self.applied_once {
            return None;
        }
        let others = self
            .services
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
    pub(super) fn renamed_from_live(&self, slot: &ServiceState) -> Option<Name> {
        let former = slot.renamed_from.as_ref()?;
        let gone =
            |old: &ServiceState| old.desired == DesiredState::Removed && old.live_run().is_some();
        self.services.get(former).is_some_and(gone).then(|| former.clone())
    }

    /// Whether a service that restarts because of a file change waits for more changes.
    pub(super) fn waits_for_files(&self, slot: &ServiceState) -> bool {
        self.files_changing && matches!(slot.start_cause, Some(Cause::FileChanged(_)))
    }

    /// Returns the dependencies a service waits for. Those left out with `--no-deps` do not count.
    pub(super) fn unmet_dependencies(&self, slot: &ServiceState) -> Vec<Dependency> {
        let all = self.selection.as_ref().is_none_or(|selection| selection.with_dependencies);
        let open = slot.service.depends_on.iter().filter(|(name, condition)| {
            match self.services.get(*name) {
                None => false,
                Some(dep) if !all && dep.desired == DesiredState::No => false,
                Some(dep) => !dep.satisfies(**condition),
            }
        });
        open.map(|(name, condition)| Dependency { service: name.clone(), condition: *condition })
            .collect()
    }

    /// Returns the wanted services that cannot start because a dependency has failed, with the root
    /// cause. Goes in dependency order, so a long chain needs no recursion.
    pub(super) fn blocked_services(&self) -> BlockedServices {
        let mut blocked = BlockedServices::new();
        // Nothing starts during a shutdown.
        if self.shutdown.is_some() || !self.services.values().any(ServiceState::is_waiting_to_start)
        {
            return blocked;
        }
        for name in &self.order {
            let Some(slot) = self.services.get(name).filter(|slot| slot.is_waiting_to_start())
            else {
                continue;
            };
            let root = self.unmet_dependencies(slot).into_iter().find_map(|need| {
                let dep = self.services.get(&need.service)?;
                match blocked.get(&need.service) {
                    Some(message) => Some(message.clone()),
                    None => dep.unreachable_reason(need.condition),
                }
            });
            if let Some(root) = root {
                blocked.insert(name.clone(), root);
            }
        }
        blocked
    }
}

impl ServiceState {
    fn expire(&mut self, now: EngineTime, effects: &mut Vec<Effect>) {
        match &mut self.state {
            RunState::Starting { run, pid, spawned, ready_by: Some(by) } if *by <= now => {
                // Listening elsewhere explains more than nothing listening on the expected port.
                let remark = self.warnings.first().map(|remark| remark.text.clone());
                let last = remark.or_else(|| self.probe_failure.clone());
                let last = last.unwrap_or_else(|| "no probe result yet".into());
                let limit = DisplayDuration(self.service.ready.timeout);
                let message = Message::new(
                    MessageClass::ReadyTimeout,
                    format!("not ready within {limit}: {last}"),
                )
                .help("raise `ready.timeout` if it needs longer; it keeps running and is still probed");
                self.state = RunState::Late { run: *run, pid: *pid, spawned: *spawned, message };
            }
            RunState::Ready { at, .. } if *at + super::STABLE_AFTER <= now => {
                self.recent_exits.clear()
            }
            RunState::Stopping { kill: kill @ KillDeadline::Held(Some(_)), why, .. } => {
                if matches!(kill, KillDeadline::Held(Some(at)) if *at <= now) {
                    *kill = KillDeadline::Held(None);
                    let why = why.clone();
                    self.report_slow_stop(&why, effects);
                }
            }
            RunState::Stopping { run, kill, .. } | RunState::Draining { run, kill, .. } => {
                if matches!(kill, KillDeadline::At(at) if *at <= now) {
                    *kill = KillDeadline::Ordered;
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
                    effects.push(Effect::Emit(Event { service, what: EventKind::Note(message) }));
                }
            }
            RunState::Idle
            | RunState::Launching { .. }
            | RunState::Starting { .. }
            | RunState::Late { .. }
            | RunState::Ready { .. }
            | RunState::Unwell { .. }
            | RunState::Backoff { .. }
            | RunState::Displaced { .. }
            | RunState::Over(_) => {}
        }
    }

    /// Ends an expired back-off, or extends it if too many services have just restarted.
    fn end_back_off(&mut self, now: EngineTime, respawns: &mut VecDeque<EngineTime>) {
        let RunState::Backoff { until, .. } = &mut self.state else { return };
        if *until > now {
            return;
        }
        match respawns.front() {
            Some(first) if respawns.len() >= MAX_RESTARTS_PER_SECOND => {
                *until = *first + Duration::from_secs(1);
            }
            Some(_) | None => {
                respawns.push_back(now);
                self.start_cause = self.exit.map(Cause::RestartedAfter);
                self.state = RunState::Idle;
            }
        }
    }

    fn reason_to_stop(&self) -> Option<Cause> {
        match &self.desired {
            DesiredState::No => Some(Cause::NotAsked),
            DesiredState::Stopped => Some(Cause::Requested("stop")),
            DesiredState::Removed => Some(Cause::Removed),
            DesiredState::Yes(_) => self.pending_restart.clone(),
        }
    }

    /// Orders a stop if something runs and none was ordered yet.
    fn stop(&mut self, now: EngineTime, why: Cause, effects: &mut Vec<Effect>) {
        match self.state {
            RunState::Launching { run, .. }
            | RunState::Starting { run, .. }
            | RunState::Late { run, .. }
            | RunState::Ready { run, .. }
            | RunState::Unwell { run, .. } => {
                effects.push(Effect::Stop(run, self.service.stop.clone()));
                let kill = self.kill_deadline(now);
                self.state = RunState::Stopping { run, pid: self.pid(), why, kill };
                self.pending_restart = None;
            }
            RunState::Backoff { .. } | RunState::Displaced { .. } => self.state = RunState::Idle,
            RunState::Idle
            | RunState::Stopping { .. }
            | RunState::Draining { .. }
            | RunState::Over(_) => {}
        }
    }

    /// Orders a kill of everything left.
    fn kill(&mut self, why: &Cause, effects: &mut Vec<Effect>) {
        let pid = self.pid();
        match &mut self.state {
            RunState::Launching { run, .. }
            | RunState::Starting { run, .. }
            | RunState::Late { run, .. }
            | RunState::Ready { run, .. }
            | RunState::Unwell { run, .. } => {
                let run = *run;
                effects.push(Effect::Kill(run));
                let why = why.clone();
                self.state = RunState::Stopping { run, pid, why, kill: KillDeadline::Ordered };
                self.pending_restart = None;
            }
            RunState::Stopping { run, kill, .. } | RunState::Draining { run, kill, .. } => {
                if *kill != KillDeadline::Ordered {
                    *kill = KillDeadline::Ordered;
                    effects.push(Effect::Kill(*run));
                }
            }
            RunState::Backoff { .. } | RunState::Displaced { .. } => self.state = RunState::Idle,
            RunState::Idle | RunState::Over(_) => {}
        }
    }

    /// Whether it should run and only its dependencies decide when it starts.
    pub(super) fn is_waiting_to_start(&self) -> bool {
        self.wanted() && matches!(self.state, RunState::Idle)
    }

    /// Whether it runs or will run again, and no stop was ordered.
    fn is_stoppable(&self) -> bool {
        match self.state {
            RunState::Launching { .. }
            | RunState::Starting { .. }
            | RunState::Late { .. }
            | RunState::Ready { .. }
            | RunState::Unwell { .. }
            | RunState::Backoff { .. }
            | RunState::Displaced { .. } => true,
            RunState::Idle
            | RunState::Stopping { .. }
            | RunState::Draining { .. }
            | RunState::Over(_) => false,
        }
    }

    fn launch(&mut self, now: EngineTime, run: RunId) {
        let why = match (self.start_cause.take(), &self.desired) {
            (Some(why), _) => why,
            (None, DesiredState::Yes(why)) => why.clone(),
            (None, DesiredState::No | DesiredState::Stopped | DesiredState::Removed) => {
                Cause::NotAsked
            }
        };
        if let Cause::FileChanged(path) = &why {
            self.past.triggered(now, path.clone(), "restart".to_owned());
        }
        self.past.spawned = None;
        self.state = RunState::Launching { run, why };
        self.pending_restart = None;
        self.launched = self.service.clone();
        self.run = Some(run);
        self.runs += 1;
        self.probe_failure = None;
        self.note = None;
        self.listening = None;
        self.warnings.clear();
        self.time_to_ready = None;
        self.debugger = DebuggerState::Unknown;
        self.saves.begin_run(self.service.mode.is_debug());
    }

    fn satisfies(&self, condition: Condition) -> bool {
        let done = matches!(self.state, RunState::Over(ServiceOutcome::Done(_)));
        match condition {
            Condition::Started => self.pid().is_some() || done,
            Condition::Ready => {
                matches!(self.state, RunState::Ready { .. })
                    || (done && self.service.kind == ServiceKind::Task)
            }
            Condition::Completed => done,
        }
    }

    /// Returns why a condition on this service will not come true on its own.
    fn unreachable_reason(&self, condition: Condition) -> Option<Message> {
        let name = &self.service.name;
        let because = |text: &str| {
            Message::new(MessageClass::DepFailed, format!("dependency {name} ({condition}) {text}"))
                .help(format!(
                    "fix {name}; this service then starts automatically, or run `devstack restart {name}`"
                ))
        };
        // The user may or may not start it again, so waiting clients get an answer now.
        if self.desired == DesiredState::Stopped && !matches!(self.state, RunState::Over(_)) {
            let text = format!("dependency {name} ({condition}) was stopped");
            let help =
                format!("run `devstack start {name}`; its dependents then start automatically");
            return Some(Message::new(MessageClass::DepFailed, text).help(help));
        }
        match &self.state {
            RunState::Over(ServiceOutcome::Failed(message)) => {
                Some(because(&format!("failed: {}", message.text)))
            }
            RunState::Over(ServiceOutcome::Done(exit)) => {
                Some(because(&format!("exited ({exit})")))
            }
            RunState::Late { message, .. } if condition == Condition::Ready => {
                Some(because(&format!("timed out: {}", message.text)))
            }
            RunState::Idle
            | RunState::Launching { .. }
            | RunState::Starting { .. }
            | RunState::Late { .. }
            | RunState::Ready { .. }
            | RunState::Unwell { .. }
            | RunState::Stopping { .. }
            | RunState::Draining { .. }
            | RunState::Backoff { .. }
            | RunState::Displaced { .. } => None,
        }
    }
}
