use std::borrow::Cow;

use super::service_state::{
    DebuggerState, DesiredState, EngineTime, ReportedPhase, RunState, ServiceOutcome, ServiceState,
};
use super::{BlockedServices, Effect, Engine};
use crate::model::{
    Cause, DebugView, Dependency, Event, EventKind, Message, Name, Phase, RunMode, ServiceView,
    StackState, listening_port, local_url,
};

/// State of everything requested, as a whole.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct StackOutlook {
    /// Something failed or is unhealthy.
    failed: bool,
    /// Something is neither ready, done nor failed.
    under_way: bool,
}

impl StackOutlook {
    /// Returns the stack state outside a shutdown. A failure shows at once: clients that wait for
    /// the stack need not wait for services that are still starting.
    pub fn stack_state(self) -> StackState {
        match (self.failed, self.under_way) {
            (true, _) => StackState::Degraded,
            (false, true) => StackState::Starting,
            (false, false) => StackState::Up,
        }
    }
}

/// The last move of a step: emit what changed since the last report.
impl Engine {
    pub(super) fn emit_changes(&mut self, now: EngineTime, effects: &mut Vec<Effect>) {
        self.emit_shutdown(effects);
        let blocked = self.blocked_services();
        let mut changed: Vec<(Name, ReportedPhase)> = self
            .services
            .iter()
            .filter_map(|(name, slot)| {
                let (phase, cause) = self.phase_of(slot, blocked.get(name));
                // A start that may not happen is not reported.
                if *cause == Cause::InspectingPorts {
                    return None;
                }
                let run = slot.live_run();
                let same = slot
                    .told
                    .as_ref()
                    .is_some_and(|told| told.0 == phase && told.2 == run && told.1 == *cause);
                (!same).then(|| (name.clone(), (phase, cause.into_owned(), run)))
            })
            .collect();
        // Results come before what starts because of them.
        changed.sort_by_key(|(_, (phase, ..))| is_transition(*phase));
        for (name, new) in changed {
            self.emit_phase(now, name, new, effects);
        }
        self.answer_requests(&blocked, effects);
        self.outlook = self.outlook(&blocked);
        self.settle(effects);
        self.halt(&blocked, effects);
    }

    fn emit_phase(
        &mut self,
        now: EngineTime,
        name: Name,
        new: ReportedPhase,
        effects: &mut Vec<Effect>,
    ) {
        let slot = self.services.get_mut(&name).expect("the slot was just compared");
        let from = slot.told.as_ref().map(|(old, ..)| *old);
        if from != Some(new.0) {
            slot.since = now;
        }
        let (to, cause, run) = new.clone();
        let what = EventKind::Phase { from, to, cause, run };
        effects.push(Effect::Emit(Event { service: Some(name), what }));
        slot.told = Some(new);
    }

    fn emit_shutdown(&mut self, effects: &mut Vec<Effect>) {
        if let Some(ending) = self.shutdown.as_mut().filter(|ending| !ending.told) {
            ending.told = true;
            let what = EventKind::ShuttingDown(ending.why.to_string());
            effects.push(Effect::Emit(Event { service: None, what }));
        }
    }

    fn settle(&mut self, effects: &mut Vec<Effect>) {
        if self.settled || self.stack.is_none() || self.shutdown.is_some() {
            return;
        }
        if self.outlook.under_way {
            return;
        }
        self.settled = true;
        let what = EventKind::Settled { well: !self.outlook.failed };
        effects.push(Effect::Emit(Event { service: None, what }));
    }

    /// Exits when a shutdown is complete, or when nothing runs and nothing will start on its own.
    fn halt(&mut self, blocked: &BlockedServices, effects: &mut Vec<Effect>) {
        if self.stack.is_none() || self.services.values().any(ServiceState::is_live) {
            return;
        }
        let code = match &self.shutdown {
            Some(ending) => Some(ending.code),
            None if self.keep_alive => None,
            None => self.exit_code_when_idle(blocked),
        };
        if let Some(code) = code {
            self.halted = true;
            self.answer_remaining(effects);
            effects.push(Effect::Exit(code));
        }
    }

    /// Returns the exit code if everything requested has finished and only the user could start it
    /// again. A service with watches waits for a file change, a stopped one for the user, and a
    /// stack whose configuration no longer requests anything for the next edit.
    fn exit_code_when_idle(&self, blocked: &BlockedServices) -> Option<i32> {
        if self.applied_once && !self.services.values().any(ServiceState::wanted) {
            return None;
        }
        let mut failed = false;
        for (name, slot) in &self.services {
            let over = match (&slot.desired, &slot.state) {
                (DesiredState::No, _) => true,
                (DesiredState::Stopped | DesiredState::Removed, _) => false,
                (DesiredState::Yes(_), _) if !slot.service.watch.is_empty() => false,
                (DesiredState::Yes(_), RunState::Over(ServiceOutcome::Done(_))) => true,
                (DesiredState::Yes(_), RunState::Over(ServiceOutcome::Failed(_))) => {
                    failed = true;
                    true
                }
                (DesiredState::Yes(_), RunState::Idle) if blocked.contains_key(name) => {
                    failed = true;
                    true
                }
                (DesiredState::Yes(_), _) => false,
            };
            if !over {
                return None;
            }
        }
        Some(i32::from(failed))
    }

    fn outlook(&self, blocked: &BlockedServices) -> StackOutlook {
        let mut outlook = StackOutlook { failed: false, under_way: false };
        for (name, slot) in self.services.iter().filter(|(_, slot)| slot.wanted()) {
            match self.phase_of(slot, blocked.get(name)).0 {
                Phase::Ready | Phase::Done => {}
                Phase::Failed | Phase::Unhealthy => outlook.failed = true,
                Phase::Idle
                | Phase::Waiting
                | Phase::Starting
                | Phase::Stopping
                | Phase::Backoff => outlook.under_way = true,
            }
        }
        outlook
    }

    /// Returns the phase of a service and why. Borrows, because every step asks for every service.
    pub(super) fn phase_of<'a>(
        &'a self,
        slot: &'a ServiceState,
        blocked: Option<&Message>,
    ) -> (Phase, Cow<'a, Cause>) {
        let failed = |message: &Message| Cow::Owned(Cause::Failed(message.clone()));
        match (&slot.state, &slot.desired) {
            (RunState::Idle, want) => match (&self.shutdown, want) {
                (Some(ending), _) => (Phase::Idle, Cow::Borrowed(&ending.why)),
                (None, want) => self.standing_of_idle(slot, want, blocked),
            },
            (RunState::Launching { why, .. }, _) => (Phase::Starting, Cow::Borrowed(why)),
            (RunState::Starting { pid, .. }, _) => {
                (Phase::Starting, Cow::Owned(Cause::Spawned { pid: *pid }))
            }
            (RunState::Late { message, .. } | RunState::Unwell { message, .. }, _) => {
                (Phase::Unhealthy, failed(message))
            }
            (RunState::Ready { cause, .. }, _) => (Phase::Ready, Cow::Borrowed(cause)),
            (RunState::Stopping { why, .. }, _) => (Phase::Stopping, Cow::Borrowed(why)),
            (RunState::Draining { .. }, _) => {
                let exit = slot.exit.expect("a draining run has an exit");
                (Phase::Stopping, Cow::Owned(Cause::Exited(exit)))
            }
            (RunState::Backoff { cause, .. }, _) => (Phase::Backoff, Cow::Borrowed(cause)),
            (RunState::Displaced { message }, _) => {
                (Phase::Waiting, Cow::Owned(Cause::PortLost(message.clone())))
            }
            (RunState::Over(ServiceOutcome::Done(exit)), _) => {
                (Phase::Done, Cow::Owned(Cause::Exited(*exit)))
            }
            (RunState::Over(ServiceOutcome::Failed(message)), _) => {
                (Phase::Failed, failed(message))
            }
        }
    }

    fn standing_of_idle<'a>(
        &self,
        slot: &ServiceState,
        want: &DesiredState,
        blocked: Option<&Message>,
    ) -> (Phase, Cow<'a, Cause>) {
        let (phase, cause) = match (want, blocked) {
            (DesiredState::Yes(_), Some(message)) => {
                (Phase::Failed, Cause::Failed(message.clone()))
            }
            (DesiredState::Yes(_), None) => (Phase::Waiting, self.waiting_cause(slot)),
            (DesiredState::No, _) => (Phase::Idle, Cause::NotAsked),
            (DesiredState::Stopped, _) => (Phase::Idle, Cause::Requested("stop")),
            (DesiredState::Removed, _) => (Phase::Idle, Cause::Removed),
        };
        (phase, Cow::Owned(cause))
    }

    fn waiting_cause(&self, slot: &ServiceState) -> Cause {
        let needs = self.unmet_dependencies(slot);
        if !needs.is_empty() {
            return Cause::WaitingFor(needs);
        }
        if let Some(former) = self.renamed_from_live(slot) {
            return Cause::WaitingForRename(former);
        }
        match self.port_blocked_by(slot) {
            Some((port, name)) => Cause::WaitingForPort(port, name),
            None if self.waits_for_files(slot) => Cause::WaitingForFiles,
            None => Cause::InspectingPorts,
        }
    }

    pub(super) fn view(
        &self,
        name: &Name,
        slot: &ServiceState,
        blocked: &BlockedServices,
        date: impl Fn(EngineTime) -> String,
    ) -> ServiceView {
        let service = &slot.service;
        let mode = if slot.live_run().is_some() { slot.launched.mode } else { service.mode };
        let (phase, cause) = self.phase_of(slot, blocked.get(name));
        let message = match &*cause {
            Cause::Failed(message) => Some(message.clone()),
            // Between two runs there is nothing newer to report.
            Cause::PortLost(message) if slot.live_run().is_none() => Some(message.clone()),
            Cause::PortLost(message) => slot.notice().or(Some(message)).cloned(),
            _ => slot.notice().cloned(),
        };
        let waiting_on: Vec<Dependency> = match phase {
            Phase::Waiting => self.unmet_dependencies(slot),
            _ => Vec::new(),
        };
        let cause = match (&slot.probe_failure, phase) {
            (Some(why), Phase::Starting) => format!("not ready yet: {why}"),
            (Some(_) | None, _) => cause.to_string(),
        };
        ServiceView {
            name: name.clone(),
            group: self.stack.as_ref().and_then(|stack| stack.group_of(name).cloned()),
            kind: service.kind.as_str().to_owned(),
            mode: mode.as_str().to_owned(),
            debug: debug_view(
                mode,
                slot.debugger == DebuggerState::Seen && slot.live_run().is_some(),
            ),
            phase,
            since: date(slot.since),
            cause,
            pid: slot.pid(),
            run: slot.run,
            restarts: slot.runs.saturating_sub(1),
            port: service.port().map(|port| port.number),
            wanted_port: service.port().and_then(|port| port.wanted),
            pinned: service.port().is_some_and(|port| port.pinned),
            ports: service.ports.iter().map(|port| (port.name.clone(), port.number)).collect(),
            wanted_ports: (service.ports.iter())
                .filter_map(|port| Some((port.name.clone(), port.wanted?)))
                .collect(),
            host: service.launch.host.clone(),
            url: slot.url(phase),
            listening: slot.live_run().and_then(|_| slot.listening.clone()),
            network_urls: Vec::new(),
            exit: slot.exit,
            waiting_on,
            cpu_percent: None,
            memory_bytes: None,
            ready_after_ms: slot.time_to_ready.map(|after| after.as_millis() as u64),
            message,
        }
    }
}

impl ServiceState {
    /// What the user should know beyond the phase.
    fn notice(&self) -> Option<&Message> {
        self.saves.message().or(self.note.as_ref()).or(self.warnings.first())
    }

    /// Returns its URL: where it is listening or, until that is known, where it should.
    fn url(&self, phase: Phase) -> Option<String> {
        let service = &self.service;
        match (phase, &self.listening) {
            (Phase::Starting | Phase::Ready | Phase::Unhealthy, Some(listening)) => {
                let ports: Vec<u16> = service.ports.iter().map(|port| port.number).collect();
                // A debugger port has no URL.
                let has_port = service.port().is_some();
                let port = listening_port(&ports, listening).filter(|_| has_port)?;
                local_url(&service.url_form, &service.launch.host, port, listening)
            }
            (Phase::Ready | Phase::Unhealthy, None) => service.url(),
            (
                Phase::Idle
                | Phase::Waiting
                | Phase::Starting
                | Phase::Stopping
                | Phase::Backoff
                | Phase::Done
                | Phase::Failed,
                _,
            ) => None,
        }
    }
}

fn debug_view(mode: RunMode, listening: bool) -> Option<DebugView> {
    match mode {
        RunMode::Run => None,
        RunMode::Debug(debugging) => Some(DebugView {
            port: debugging.port,
            debugger: debugging.debugger.map(|debugger| debugger.as_str().to_owned()),
            attach: debugging.address(),
            listening,
        }),
    }
}

/// Whether this phase is a transition rather than a result.
fn is_transition(phase: Phase) -> bool {
    match phase {
        Phase::Waiting | Phase::Starting | Phase::Stopping => true,
        Phase::Idle
        | Phase::Ready
        | Phase::Unhealthy
        | Phase::Backoff
        | Phase::Done
        | Phase::Failed => false,
    }
}
