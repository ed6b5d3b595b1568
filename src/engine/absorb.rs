use std::time::Duration;

use super::failure::{RequestError, ServiceFailure};
use super::input::{Input, ShutdownMode, Ticket};
use super::requests::{PendingRequest, RequestGoal};
use super::run_state::{DebuggerState, RunStage, RunState, ServiceOutcome};
use super::service_state::{DesiredState, EngineTime, ServiceState};
use super::start_order::with_dependencies;
use super::{
    ELSEWHERE_FOR, Effect, Engine, FIRST_LOOK, SHUTDOWN_TIMEOUT, ShutdownState, USUAL_READY_TIMEOUT,
};
use crate::model::{Cause, EventKind, HealthAction, Message, Name, RunId};

/// The first move of a step: record what happened. Nothing starts or stops here.
impl Engine {
    pub(super) fn absorb(&mut self, now: EngineTime, input: Input, effects: &mut Vec<Effect>) {
        match input {
            Input::Apply(stack) => self.apply(now, stack, effects),
            Input::Relocate(stack) => self.relocate(stack, effects),
            Input::Start(ticket, names) => {
                self.request_start(now, ticket, names, RequestGoal::Up, effects)
            }
            Input::Restart(ticket, names) => {
                let goal = RequestGoal::Renewed(RunId(self.next_run));
                self.request_start(now, ticket, names, goal, effects);
            }
            Input::Debug(ticket, names) => {
                self.request_start(now, ticket, names, RequestGoal::Debugged, effects)
            }
            Input::LeaveDebug(ticket, names) => self.undebug(ticket, names, effects),
            Input::Stop(ticket, names) => self.request_stop(now, ticket, names, effects),
            Input::Wait(ticket, names, until) => self.add_wait(ticket, &names, until, effects),
            Input::Cancel(ticket) => self.cancel(ticket),
            Input::Connected(name) => self.connected(&name),
            Input::Unused(name) => self.unused(&name),
            Input::DoorFailed(name, message) => self.door_failed(&name, message),
            Input::Shutdown { ticket, why, code, haste } => {
                self.begin_shutdown(now, why, code, haste);
                let names = Vec::new();
                self.requests.extend(ticket.map(|ticket| PendingRequest {
                    ticket,
                    goal: RequestGoal::End,
                    names,
                }));
            }
            Input::FilesChanged(files) => self.files_changed(now, files, effects),
            Input::JobEnded(job, result) => self.job_ended(now, job, result, effects),
            Input::StillChanging(changing) => self.files_changing = changing,
            Input::Spawned(run, pid) => self.spawned(now, run, pid, effects),
            Input::SpawnFailed(run, message) => self.spawn_failed(run, message),
            Input::ProbesPassed(run, what) => self.became_ready(now, run, what, effects),
            Input::ProbeFailed(run, why) => {
                if let Some(live) = self.live_run_mut(run) {
                    live.facts.probe_failure = Some(why);
                }
            }
            Input::HealthFailed(run, why) => self.became_unhealthy(run, why),
            Input::DebuggerListening(run) => self.debugger_listening(run, effects),
            Input::HealthRecovered(run) => self.became_healthy(now, run),
            Input::TimeSkipped(time) => self.postpone_deadlines(time),
            Input::PortsInspected(service, verdict) => {
                self.ports_inspected(now, &service, verdict, effects)
            }
            Input::PortLost(run, message) => self.port_lost(run, message, effects),
            Input::ExitInvestigated(run, excuse) => {
                self.exit_investigated(now, run, excuse, effects)
            }
            Input::PortsReassigned { stack, outcome } => {
                self.ports_reassigned(now, stack, outcome, effects)
            }
            Input::ReloadsItself(run) => {
                if let Some(live) = self.live_run_mut(run) {
                    live.facts.reloads_itself = true;
                }
            }
            Input::Note(run, message) => self.note(run, message, effects),
            Input::ListeningOn(run, addresses) => {
                if let Some(live) = self.live_run_mut(run) {
                    live.facts.listening = Some(addresses);
                }
            }
            Input::ListenWarnings(run, messages) => self.set_warnings(now, run, messages, effects),
            Input::Exited(run, exit) => self.exited(run, exit, now, effects),
            Input::TreeEmpty(run) => self.tree_empty(now, run, effects),
            Input::Survived(tree, left) => self.survived(tree, left, effects),
            Input::Tick => {}
        }
    }

    fn request_start(
        &mut self,
        now: EngineTime,
        ticket: Ticket,
        names: Vec<Name>,
        goal: RequestGoal,
        effects: &mut Vec<Effect>,
    ) {
        let names = match self.resolve_names(&names) {
            Ok(names) => names,
            Err(RequestError::ShuttingDown) => {
                let error = RequestError::StartWhileStopping;
                return effects.push(Effect::Answer(ticket, Err(error)));
            }
            Err(error) => return effects.push(Effect::Answer(ticket, Err(error))),
        };
        if let RequestGoal::Renewed(_) = goal
            && let Some(error) = self.restart_obstacle(&names)
        {
            return effects.push(Effect::Answer(ticket, Err(error)));
        }
        let Some(stack) = &self.stack else { return };
        let why = Cause::Requested(match goal {
            RequestGoal::Renewed(_) => "restart",
            RequestGoal::Debugged => "debug",
            RequestGoal::Up
            | RequestGoal::Undebugged
            | RequestGoal::Down
            | RequestGoal::End
            | RequestGoal::Until(_) => "start",
        });
        for (name, cause) in with_dependencies(stack, names.iter().cloned(), why) {
            let Some(service_state) = self.services.get_mut(&name) else { continue };
            if names.contains(&name) {
                service_state.saves.reset_loop_detection();
            }
            match (goal, names.contains(&name)) {
                (RequestGoal::Renewed(_), true) => {
                    service_state.force_stop(now);
                    service_state.saves.interrupt();
                    service_state.restart_with(cause.clone());
                }
                (RequestGoal::Up | RequestGoal::Debugged, true) => service_state.clear_wait(),
                // A dependency that is done stays done; a failed one gets another chance.
                (_, false)
                    if matches!(
                        service_state.state,
                        RunState::Finished(ServiceOutcome::Done(_))
                    ) => {}
                (_, _) => service_state.clear_wait(),
            }
            if !service_state.wanted() || names.contains(&name) {
                service_state.desired = DesiredState::Yes(cause);
            }
        }
        self.requests.push(PendingRequest { ticket, goal, names });
    }

    fn request_stop(
        &mut self,
        now: EngineTime,
        ticket: Ticket,
        names: Vec<Name>,
        effects: &mut Vec<Effect>,
    ) {
        let names = match self.resolve_names(&names) {
            Ok(names) => names,
            Err(error) => return effects.push(Effect::Answer(ticket, Err(error))),
        };
        for name in &names {
            let state = self.services.get_mut(name).expect("the names were checked");
            state.desired = DesiredState::Stopped;
            state.pending_restart = None;
            state.start_cause = None;
            state.force_stop(now);
            state.clear_wait();
            state.saves.clear();
        }
        self.requests.push(PendingRequest { ticket, goal: RequestGoal::Down, names });
    }

    /// Resolves names to services; a group stands for its members.
    pub(super) fn resolve_names(&self, names: &[Name]) -> Result<Vec<Name>, RequestError> {
        if self.shutdown.is_some() {
            return Err(RequestError::ShuttingDown);
        }
        self.expand_groups(names)
    }

    /// Like `resolve_names`, but also works during a shutdown.
    pub(super) fn expand_groups(&self, names: &[Name]) -> Result<Vec<Name>, RequestError> {
        let Some(stack) = &self.stack else { return Err(RequestError::ShuttingDown) };
        let mut found = Vec::new();
        for name in names {
            let named = stack.services_named(name);
            if named.is_empty() {
                let available = stack.services.keys().cloned().collect();
                return Err(RequestError::UnknownService { name: name.clone(), available });
            }
            found.extend(named);
        }
        Ok(found)
    }

    pub(super) fn begin_shutdown(
        &mut self,
        now: EngineTime,
        why: String,
        code: i32,
        haste: ShutdownMode,
    ) {
        match &mut self.shutdown {
            // The first reason counts; a later request can only make the shutdown immediate.
            Some(ending) => {
                if haste == ShutdownMode::Now {
                    ending.haste = ShutdownMode::Now;
                }
            }
            None => {
                let cap = now + SHUTDOWN_TIMEOUT;
                let why = Cause::Shutdown(why);
                self.shutdown = Some(ShutdownState { why, code, haste, cap, reported: false });
            }
        }
    }

    fn spawned(&mut self, now: EngineTime, run: RunId, pid: u32, effects: &mut Vec<Effect>) {
        let Some(state) = self.live_service_mut(run) else { return };
        state.saves.last_activity(now);
        let (service, probed) = (state.service.clone(), state.as_probed());
        let ready_by = state.ready_by(now);
        let Some(live) = state.live_mut() else { return };
        live.facts.spawned_at = Some(now);
        match live.stage {
            RunStage::Launching { .. } => {}
            RunStage::Stopping { .. } => return live.pid = Some(pid),
            RunStage::Starting { .. }
            | RunStage::Late { .. }
            | RunStage::Ready { .. }
            | RunStage::Unhealthy { .. }
            | RunStage::Draining { .. } => return,
        }
        live.pid = Some(pid);
        if service.mode.is_debug() {
            live.facts.debugger = DebuggerState::Awaited(now + service.ready.timeout);
            effects.push(Effect::AwaitDebugger(run, service.clone()));
        }
        match probed.ready.probes.as_slice() {
            [] if !service.kind.is_task() => {
                return state.became_ready(now, now, Cause::NoProbe, effects);
            }
            [] => {}
            _ => effects.push(Effect::StartReadyProbes(run, probed)),
        }
        live.stage = RunStage::Starting { spawned: now, ready_by };
    }

    /// No retry: a missing program is a mistake of the user, not a crash.
    fn spawn_failed(&mut self, run: RunId, message: Message) {
        let Some(state) = self.live_service_mut(run) else { return };
        let stopped = matches!(state.stage(), Some(RunStage::Stopping { .. }));
        let next = match state.pending_restart.take() {
            Some(_) => RunState::Idle,
            None if stopped => RunState::Idle,
            None => RunState::Finished(ServiceOutcome::Failed(ServiceFailure::NotStarted(message))),
        };
        state.end_run(next);
        self.runs.remove(&run);
    }

    fn became_ready(
        &mut self,
        now: EngineTime,
        run: RunId,
        what: String,
        effects: &mut Vec<Effect>,
    ) {
        let Some(state) = self.live_service_mut(run) else { return };
        if let Some(RunStage::Starting { spawned, .. } | RunStage::Late { spawned, .. }) =
            state.stage()
        {
            state.became_ready(now, *spawned, Cause::ProbePassed(what), effects);
        }
    }

    fn became_unhealthy(&mut self, run: RunId, why: String) {
        let Some(state) = self.live_service_mut(run) else { return };
        // `None`: reported before the configuration changed.
        let Some(action) = state.service.health.as_ref().map(|health| health.action) else {
            return;
        };
        let Some(live) = state.live_mut() else { return };
        if !matches!(live.stage, RunStage::Ready { .. }) || live.in_debug_mode() {
            return;
        }
        live.stage = RunStage::Unhealthy { failure: ServiceFailure::Unhealthy(why.clone()) };
        match action {
            HealthAction::Restart => {
                state.pending_restart.get_or_insert(Cause::HealthFailed(why));
            }
            HealthAction::Report => {}
        }
    }

    fn became_healthy(&mut self, now: EngineTime, run: RunId) {
        let Some(live) = self.live_run_mut(run) else { return };
        if let RunStage::Unhealthy { .. } = live.stage {
            live.stage = RunStage::Ready { since: now, cause: Cause::HealthRecovered };
        }
    }

    fn postpone_deadlines(&mut self, time: Duration) {
        if let Some(ending) = &mut self.shutdown {
            ending.cap += time;
        }
        for state in self.services.values_mut() {
            state.shift(time);
        }
    }

    fn note(&mut self, run: RunId, message: Message, effects: &mut Vec<Effect>) {
        let Some(state) = self.live_service_mut(run) else { return };
        state.emit(EventKind::Note(message.clone()), effects);
        state.past.note(run, &message.text);
        if let Some(live) = state.live_mut() {
            live.facts.note = Some(message);
        }
    }

    /// Reports each warning once for as long as it applies, across runs. One that listens elsewhere
    /// before it is ready has little time left.
    fn set_warnings(
        &mut self,
        now: EngineTime,
        run: RunId,
        messages: Vec<Message>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(state) = self.live_service_mut(run) else { return };
        let reported = std::mem::replace(&mut state.reported_warnings, messages.clone());
        let Some(live) = state.live_mut() else { return };
        live.facts.warnings.clone_from(&messages);
        // A longer time than usual means that it opens its port late.
        let is_usual = live.facts.service.ready.timeout <= USUAL_READY_TIMEOUT;
        if let RunStage::Starting { ready_by: Some(by), .. } = &mut live.stage
            && !messages.is_empty()
            && is_usual
        {
            *by = (*by).min(now + ELSEWHERE_FOR);
        }
        if let RunStage::Late { failure: ServiceFailure::NotReady { elsewhere, .. }, .. } =
            &mut live.stage
        {
            // The phase reports it.
            return *elsewhere = messages.into_iter().next().map(Box::new);
        }
        for message in messages.iter().filter(|message| !reported.contains(message)) {
            state.emit(EventKind::Note(message.clone()), effects);
        }
    }
}

impl ServiceState {
    /// Records that its live run is ready, `spawned` being when its process was.
    fn became_ready(
        &mut self,
        now: EngineTime,
        spawned: EngineTime,
        cause: Cause,
        effects: &mut Vec<Effect>,
    ) {
        let RunState::Live(live) = &mut self.state else { return };
        let unseen = cause == Cause::NoProbe && !live.in_debug_mode();
        self.believed_at = unseen.then_some(now + FIRST_LOOK);
        self.crashed = false;
        live.facts.time_to_ready = Some(now.saturating_sub(spawned));
        live.facts.probe_failure = None;
        live.stage = RunStage::Ready { since: now, cause };
        self.port_losses = 0;
        if self.service.health.is_some() {
            self.probe_health(effects);
        }
    }
}
