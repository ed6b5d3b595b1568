use std::collections::{BTreeSet, VecDeque};
use std::path::Path;
use std::time::Duration;

use super::failure::{ServiceFailure, ServiceNotice};
use super::kill_progress::KillProgress;
use super::run_state::{LiveRun, RunStage, RunState, ServiceOutcome};
use super::service_state::{DesiredState, EngineTime, ServiceState};
use super::{BlockedServices, Effect, Engine, KilledTree, MAX_RESTARTS_PER_SECOND, ShutdownMode};
use crate::model::{Cause, Condition, Dependency, EventKind, Name, RunId, Service};

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
        for state in self.services.values_mut() {
            state.expire(now, effects);
            state.saves.expire(now, effects);
            state.report_missing_debugger(now, effects);
            state.end_back_off(now, &mut self.recent_restarts);
        }
    }

    /// Stops what must not run.
    pub(super) fn stop_unwanted(&mut self, now: EngineTime, effects: &mut Vec<Effect>) {
        match self.shutdown.as_ref().map(|ending| (ending.haste, ending.why.clone())) {
            None => {
                for state in self.services.values_mut() {
                    state.run_due_actions(now, &mut self.last_job, effects);
                }
                self.hold_restarts(effects);
                for state in self.services.values_mut() {
                    if let Some(why) = state.reason_to_stop() {
                        state.stop(now, why, effects);
                    }
                }
            }
            Some((ShutdownMode::Now, why)) => {
                for state in self.services.values_mut() {
                    state.saves.kill_job(now, effects);
                    state.kill(now, &why, effects);
                }
            }
            Some((ShutdownMode::Polite, why)) => self.stop_in_order(now, &why, effects),
        }
        self.drop_removed(effects);
    }

    /// Drops services that are no longer in the stack once nothing of them is left.
    fn drop_removed(&mut self, effects: &mut Vec<Effect>) {
        self.services.retain(|_, state| {
            let stays = state.desired != DesiredState::Removed || state.is_live();
            if !stays {
                state.emit(EventKind::ServiceRemoved, effects);
            }
            stays
        });
    }

    /// Stops dependents before dependencies: a service stops once no live service needs it.
    fn stop_in_order(&mut self, now: EngineTime, why: &Cause, effects: &mut Vec<Effect>) {
        for service_state in
            self.services.values_mut().filter(|service_state| service_state.saves.is_working())
        {
            service_state.saves.stop(now + service_state.service.stop.grace, effects);
        }
        if !self.services.values().any(ServiceState::is_stoppable) {
            return;
        }
        // What cannot be stopped is not waited for.
        let live = self.services.values().filter(|service_state| service_state.ends_yet());
        let needed: BTreeSet<Name> = live
            .flat_map(|service_state| service_state.service.depends_on.keys().cloned())
            .collect();
        for (name, service_state) in &mut self.services {
            if let RunState::BackingOff { .. } | RunState::AwaitingPort { .. } = service_state.state
            {
                service_state.state = RunState::Idle;
            } else if !needed.contains(name) {
                service_state.stop(now, why.clone(), effects);
            }
        }
    }

    /// Starts what should and can run.
    pub(super) fn start_wanted(&mut self, now: EngineTime, effects: &mut Vec<Effect>) {
        let clear = std::mem::take(&mut self.clear_ports);
        self.wake_needed();
        if self.shutdown.is_some() || !self.services.values().any(ServiceState::is_waiting_to_start)
        {
            return;
        }
        let Some(stack) = self.stack.clone() else { return };
        for name in self.order.clone() {
            let Some(state) = self.services.get(&name) else { continue };
            let held = !state.is_waiting_to_start() || !self.unmet_dependencies(state).is_empty();
            if held
                || self.port_blocked_by(state).is_some()
                || self.renamed_from_live(state).is_some()
            {
                continue;
            }
            if self.waits_for_files(state) {
                continue;
            }
            if state.insisted {
                let state = self.services.get_mut(&name).expect("the slot was just read");
                state.choose_ports_again(effects);
                continue;
            }
            let inspects = !state.service.ports.is_empty() || state.lingering.is_some();
            if inspects && !clear.contains(&name) {
                let state = self.services.get_mut(&name).expect("the slot was just read");
                state.inspect_ports(effects);
                continue;
            }
            let run = RunId(self.next_run);
            self.next_run += 1;
            self.runs.insert(run, name.clone());
            let state = self.services.get_mut(&name).expect("the slot was just read");
            state.launch(now, run, &stack.dir);
            state.former_data = None;
            effects.push(Effect::Spawn(run, state.service.clone()));
        }
    }

    /// Returns a port of `slot` that another live run was started with: ports may change owners.
    pub(super) fn port_blocked_by(&self, state: &ServiceState) -> Option<(u16, Name)> {
        let numbers = |service: &Service| service.ports.iter().map(|port| port.number).collect();
        let wanted: Vec<u16> = numbers(&state.service);
        if wanted.is_empty() || !self.applied_once {
            return None;
        }
        let others =
            self.services.values().filter(|other| other.service.name != state.service.name);
        others.into_iter().find_map(|other| {
            let held: Vec<u16> = numbers(&other.live()?.facts.service);
            // A service that keeps the port will not release it; the check before the start sees
            // it.
            let stays = if other.wanted() { numbers(&other.service) } else { Vec::new() };
            let leaves = |port: &u16| wanted.contains(port) && !stays.contains(port);
            let port = held.into_iter().find(leaves)?;
            Some((port, other.service.name.clone()))
        })
    }

    /// Returns the former name of a renamed service while something still runs under it.
    pub(super) fn renamed_from_live(&self, state: &ServiceState) -> Option<Name> {
        let former = state.renamed_from.as_ref()?;
        let gone =
            |old: &ServiceState| old.desired == DesiredState::Removed && old.live().is_some();
        self.services.get(former).is_some_and(gone).then(|| former.clone())
    }

    /// Whether a service that restarts because of a file change waits for more changes.
    pub(super) fn waits_for_files(&self, state: &ServiceState) -> bool {
        self.files_changing && matches!(state.start_cause, Some(Cause::FileChanged(_)))
    }

    /// Returns the dependencies a service waits for. Those left out with `--no-deps` do not count.
    pub(super) fn unmet_dependencies(&self, state: &ServiceState) -> Vec<Dependency> {
        let all = self.selection.as_ref().is_none_or(|selection| selection.with_dependencies);
        let open = state.service.depends_on.iter().filter(|(name, condition)| {
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
    /// cause.
    pub(super) fn blocked_services(&self) -> BlockedServices {
        self.waiting_in_vain(ServiceState::unreachable_reason)
    }

    /// Like [`Engine::blocked_services`], and those that wait for a dependency that keeps crashing.
    pub(super) fn stalled_services(&self) -> BlockedServices {
        self.waiting_in_vain(ServiceState::stall_reason)
    }

    /// Goes in dependency order, so a long chain needs no recursion.
    fn waiting_in_vain(&self, reason: FailureFn) -> BlockedServices {
        let mut blocked = BlockedServices::new();
        // Nothing starts during a shutdown.
        if self.shutdown.is_some() || !self.services.values().any(ServiceState::is_waiting_to_start)
        {
            return blocked;
        }
        for name in &self.order {
            let Some(state) = self.services.get(name).filter(|state| state.is_waiting_to_start())
            else {
                continue;
            };
            let root = self.dependency_failures(state, &blocked, reason).next();
            if let Some(root) = root {
                blocked.insert(name.clone(), root);
            }
        }
        blocked
    }

    /// Returns why dependencies of a service are not what it needs: the root cause of each for
    /// which there is a `reason`.
    pub(super) fn dependency_failures(
        &self,
        state: &ServiceState,
        blocked: &BlockedServices,
        reason: FailureFn,
    ) -> impl Iterator<Item = ServiceFailure> {
        self.unmet_dependencies(state).into_iter().filter_map(move |need| {
            match blocked.get(&need.service) {
                Some(root) => Some(root.clone()),
                None => reason(self.services.get(&need.service)?, need),
            }
        })
    }
}

/// Why a dependency, which is about this service, does not become true.
type FailureFn = fn(&ServiceState, Dependency) -> Option<ServiceFailure>;

impl ServiceState {
    fn expire(&mut self, now: EngineTime, effects: &mut Vec<Effect>) {
        self.believed_at = self.believed_at.filter(|at| *at > now);
        let RunState::Live(LiveRun { stage, facts, .. }) = &mut self.state else { return };
        match stage {
            RunStage::Starting { spawned, ready_by: Some(by), .. } if *by <= now => {
                // Until it is ready, warnings are only about ports other than its own.
                let elsewhere = facts.warnings.first().cloned().map(Box::new);
                let limit = self.service.ready.timeout.min(by.saturating_sub(*spawned));
                let last = facts.probe_failure.clone();
                let failure = ServiceFailure::NotReady { limit, last, elsewhere };
                *stage = RunStage::Late { spawned: *spawned, failure };
            }
            RunStage::Ready { since, .. } if *since + super::STABLE_AFTER <= now => {
                self.recent_exits.clear();
                self.change = None;
            }
            RunStage::Stopping { kill: kill @ KillProgress::Debugging(Some(_)), cause } => {
                if matches!(kill, KillProgress::Debugging(Some(at)) if *at <= now) {
                    *kill = KillProgress::Debugging(None);
                    let in_shutdown = matches!(cause, Cause::Shutdown(_));
                    let grace = self.service.stop.grace;
                    self.notify(&ServiceNotice::SlowStop { grace, in_shutdown }, effects);
                }
            }
            RunStage::Stopping { kill, .. } | RunStage::Draining { kill, .. } => {
                if kill.becomes_overdue(now) {
                    effects.push(Effect::InspectSurvivors(KilledTree::Run(facts.id)));
                } else if matches!(kill, KillProgress::At(at) if *at <= now) {
                    *kill = KillProgress::ordered(now);
                    effects.push(Effect::Kill(facts.id));
                    let grace = self.service.stop.grace;
                    self.notify(&ServiceNotice::Killing { grace }, effects);
                }
            }
            RunStage::Launching { .. }
            | RunStage::Starting { .. }
            | RunStage::Late { .. }
            | RunStage::Ready { .. }
            | RunStage::Unhealthy { .. } => {}
        }
    }

    /// Ends an expired back-off, or extends it if too many services have just restarted.
    fn end_back_off(&mut self, now: EngineTime, respawns: &mut VecDeque<EngineTime>) {
        let RunState::BackingOff { until, cause } = &mut self.state else { return };
        if *until > now {
            return;
        }
        match respawns.front() {
            Some(first) if respawns.len() >= MAX_RESTARTS_PER_SECOND => {
                *until = *first + Duration::from_secs(1);
            }
            // It has not been started.
            Some(_) | None if matches!(cause, Cause::PortLingers(_)) => self.state = RunState::Idle,
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
            DesiredState::Removed => Some(self.removal()),
            DesiredState::Asleep(_) => {
                let idle = self.service.lazy.and_then(|lazy| lazy.idle);
                Some(Cause::Unused(idle.unwrap_or_default()))
            }
            DesiredState::Yes(_) => self.pending_restart.clone(),
        }
    }

    /// Orders a stop if something runs and none was ordered yet.
    fn stop(&mut self, now: EngineTime, cause: Cause, effects: &mut Vec<Effect>) {
        match &mut self.state {
            RunState::Live(run) if run.is_up() => {
                effects.push(Effect::Stop(run.facts.id, self.service.stop.clone()));
                let at = now + self.service.stop.grace;
                let kill = match run.in_debug_mode() {
                    true => KillProgress::Debugging(Some(at)),
                    false => KillProgress::At(at),
                };
                run.stage = RunStage::Stopping { cause, kill };
                self.pending_restart = None;
            }
            RunState::BackingOff { .. } | RunState::AwaitingPort { .. } => {
                self.state = RunState::Idle;
            }
            RunState::Live(_) | RunState::Idle | RunState::Finished(_) => {}
        }
    }

    /// Orders a kill of everything left.
    fn kill(&mut self, now: EngineTime, cause: &Cause, effects: &mut Vec<Effect>) {
        let run = match &mut self.state {
            RunState::Live(run) => run,
            RunState::BackingOff { .. } | RunState::AwaitingPort { .. } => {
                return self.state = RunState::Idle;
            }
            RunState::Idle | RunState::Finished(_) => return,
        };
        match run.kill_mut() {
            Some(
                KillProgress::Ordered { .. }
                | KillProgress::Overdue
                | KillProgress::Survived(_)
                | KillProgress::NotNeeded,
            ) => return,
            Some(kill) => *kill = KillProgress::ordered(now),
            None => {
                let (cause, kill) = (cause.clone(), KillProgress::ordered(now));
                run.stage = RunStage::Stopping { cause, kill };
                self.pending_restart = None;
            }
        }
        effects.push(Effect::Kill(run.facts.id));
    }

    /// Whether it should run and only its dependencies decide when it starts.
    pub(super) fn is_waiting_to_start(&self) -> bool {
        self.wanted() && matches!(self.state, RunState::Idle)
    }

    /// Whether it runs or will run again, and no stop was ordered.
    fn is_stoppable(&self) -> bool {
        match &self.state {
            RunState::Live(run) => run.is_up(),
            RunState::BackingOff { .. } | RunState::AwaitingPort { .. } => true,
            RunState::Idle | RunState::Finished(_) => false,
        }
    }

    fn launch(&mut self, now: EngineTime, run: RunId, dir: &Path) {
        let cause = match (self.start_cause.take(), &self.desired) {
            (Some(cause), _) => cause,
            (None, DesiredState::Yes(cause)) => cause.clone(),
            (None, _) => Cause::NotAsked,
        };
        match &cause {
            Cause::FileChanged(path) => {
                self.past.triggered(now, path.clone(), "restart".to_owned());
                let shown = path.strip_prefix(dir).unwrap_or(path);
                self.change = Some(Cause::FileChanged(shown.to_owned()));
            }
            Cause::ConfigChanged(_) => self.change = Some(cause.clone()),
            // The next attempt.
            Cause::RestartedAfter(_) | Cause::PortLost(_) | Cause::PortReservationDropped(_) => {}
            _ => self.change = None,
        }
        self.state = RunState::Live(LiveRun::new(run, self.service.clone(), cause));
        (self.pending_restart, self.lingering) = (None, None);
        self.runs += 1;
        self.saves.begin_run(self.service.mode.is_debug());
    }

    fn satisfies(&self, condition: Condition) -> bool {
        let done = matches!(self.state, RunState::Finished(ServiceOutcome::Done(_)));
        match condition {
            Condition::Started => self.pid().is_some() || done,
            Condition::Ready => {
                matches!(self.stage(), Some(RunStage::Ready { .. }))
                    || (done && self.service.kind.is_task())
            }
            Condition::Completed => done,
        }
    }

    /// Returns why `need`, which is about this service, will not come true on its own.
    fn unreachable_reason(&self, need: Dependency) -> Option<ServiceFailure> {
        let failed = |need: Dependency, root: &ServiceFailure| {
            Some(ServiceFailure::DependencyFailed { on: need, root: Box::new(root.clone()) })
        };
        // The user may or may not start it again, so waiting clients get an answer now.
        if self.desired == DesiredState::Stopped && !matches!(self.state, RunState::Finished(_)) {
            return Some(ServiceFailure::DependencyStopped(need));
        }
        match &self.state {
            RunState::Finished(ServiceOutcome::Failed(root)) => failed(need, root),
            RunState::Finished(ServiceOutcome::Done(exit)) => {
                Some(ServiceFailure::DependencyExited { on: need, exit: *exit })
            }
            RunState::Live(LiveRun { stage: RunStage::Late { failure, .. }, .. })
                if need.condition == Condition::Ready =>
            {
                failed(need, failure)
            }
            RunState::Live(run) => failed(need, &run.unstoppable()?),
            RunState::Idle | RunState::BackingOff { .. } | RunState::AwaitingPort { .. } => None,
        }
    }

    /// Returns why `need`, which is about this service, will not come true soon: it also may have
    /// exited on its own since it was last stable or asked for, and start again and again.
    pub(super) fn stall_reason(&self, need: Dependency) -> Option<ServiceFailure> {
        self.unreachable_reason(need.clone()).or_else(|| {
            let exit = self.exit.filter(|_| !self.recent_exits.is_empty())?;
            Some(ServiceFailure::DependencyRestarts { on: need, exit })
        })
    }

    fn notify(&self, notice: &ServiceNotice, effects: &mut Vec<Effect>) {
        self.emit(EventKind::Note(notice.message(&self.service.name)), effects);
    }
}
