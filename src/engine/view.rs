//! What clients see of a service: its part of a snapshot.

use std::borrow::Cow;

use super::failure::ServiceFailure;
use super::run_state::{DebuggerState, RunState, ServiceOutcome};
use super::service_state::{DesiredState, EngineTime, ServiceState};
use super::{BlockedServices, Engine};
use crate::model::{
    ActionView, Cause, DebugView, Dependency, Message, Name, Phase, RunMode, Service, ServiceView,
    listening_port, local_url,
};

/// What is shown of a service.
impl Engine {
    /// Returns the phase of a service and why. Borrows, because every step asks for every service.
    pub(super) fn phase_of<'a>(
        &'a self,
        service_state: &'a ServiceState,
        blocked: Option<&ServiceFailure>,
    ) -> (Phase, Cow<'a, Cause>) {
        match (&service_state.state, &service_state.desired) {
            (RunState::Idle, want) => match (&self.shutdown, want) {
                (Some(ending), _) => (Phase::Idle, Cow::Borrowed(&ending.why)),
                (None, want) => self.standing_of_idle(service_state, want, blocked),
            },
            (RunState::Live(run), _) => run.phase(),
            (RunState::BackingOff { cause, .. }, _) => (Phase::Backoff, Cow::Borrowed(cause)),
            (RunState::AwaitingPort { lost }, _) => {
                (Phase::Waiting, Cow::Owned(Cause::PortLost(lost.clone())))
            }
            (RunState::Finished(ServiceOutcome::Done(exit)), _) => {
                (Phase::Done, Cow::Owned(Cause::Exited(*exit)))
            }
            (RunState::Finished(ServiceOutcome::Failed(failure)), _) => {
                let message = failure.message(&service_state.service.name);
                let message = self.with_way_back(service_state, message);
                (Phase::Failed, Cow::Owned(Cause::Failed(message)))
            }
        }
    }

    fn standing_of_idle<'a>(
        &self,
        state: &ServiceState,
        want: &DesiredState,
        blocked: Option<&ServiceFailure>,
    ) -> (Phase, Cow<'a, Cause>) {
        let (phase, cause) = match (want, blocked) {
            (DesiredState::Yes(_), Some(failure)) => {
                (Phase::Blocked, Cause::Failed(failure.message(&state.service.name)))
            }
            (DesiredState::Yes(_), None) => (Phase::Waiting, self.waiting_cause(state)),
            (DesiredState::Asleep(_), _) => (Phase::Asleep, Cause::AwaitingConnection),
            (DesiredState::No, _) => (Phase::Idle, Cause::NotAsked),
            (DesiredState::Stopped, _) => (Phase::Idle, Cause::Requested("stop")),
            (DesiredState::Removed, _) => (Phase::Idle, state.removal()),
        };
        (phase, Cow::Owned(cause))
    }

    fn waiting_cause(&self, state: &ServiceState) -> Cause {
        let needs = self.unmet_dependencies(state);
        if !needs.is_empty() {
            return Cause::WaitingFor(needs);
        }
        if let Some(former) = self.renamed_from_live(state) {
            return Cause::WaitingForRename(former);
        }
        match self.port_blocked_by(state) {
            Some((port, name)) => Cause::WaitingForPort(port, name),
            None if self.waits_for_files(state) => Cause::WaitingForFiles,
            None => Cause::InspectingPorts,
        }
    }

    pub(super) fn view(
        &self,
        name: &Name,
        state: &ServiceState,
        blocked: &BlockedServices,
        date: impl Fn(EngineTime) -> String,
    ) -> ServiceView {
        let service = &state.service;
        let live = state.live();
        let mode = live.map_or(service.mode, |run| run.facts.service.mode);
        let (phase, cause) = self.phase_of(state, blocked.get(name));
        let message = match &*cause {
            Cause::Failed(message) | Cause::PortLingers(message) => Some(message.clone()),
            // Between two runs there is nothing newer to report.
            Cause::PortLost(message) if live.is_none() => Some(message.clone()),
            Cause::PortLost(message) => state.notice().or(Some(message)).cloned(),
            _ => state.notice().cloned(),
        };
        let waiting_on: Vec<Dependency> = match phase {
            Phase::Waiting => self.unmet_dependencies(state),
            _ => Vec::new(),
        };
        let newest = state.newest_run();
        let cause = match (newest.and_then(|run| run.probe_failure.as_ref()), phase) {
            (Some(why), Phase::Starting) => format!("not ready yet: {why}"),
            (_, Phase::Ready) => match live.and_then(|run| run.facts.missing_port()) {
                Some(port) => {
                    format!("was ready, but not listening on port {port} when last checked")
                }
                None => cause.to_string(),
            },
            (Some(_) | None, _) => cause.to_string(),
        };
        let time_to_ready = newest.and_then(|run| run.time_to_ready);
        ServiceView {
            name: name.clone(),
            group: self.stack.as_ref().and_then(|stack| stack.group_of(name).cloned()),
            kind: service.kind.into(),
            mode: mode.into(),
            debug: debug_view(
                mode,
                live.is_some_and(|run| run.facts.debugger == DebuggerState::Seen),
            ),
            can_debug: service.debug.is_some(),
            phase,
            since: date(state.since),
            cause,
            pid: state.pid(),
            run: newest.map(|run| run.id),
            restarts: state.runs.saturating_sub(1),
            port: service.port().map(|port| port.number),
            wanted_port: service.port().and_then(|port| port.wanted),
            pinned: service.port().is_some_and(|port| port.pinned),
            ports: (service.ports.iter().filter(|port| !service.is_inner(port)))
                .map(|port| (port.name.clone(), port.number))
                .collect(),
            wanted_ports: (service.ports.iter())
                .filter_map(|port| Some((port.name.clone(), port.wanted?)))
                .collect(),
            host: service.launch.host.clone(),
            url: state.url(phase),
            listening: live.and_then(|run| run.facts.reachable_at()),
            origin: self.origin_of(service),
            proxy: service.proxy.clone(),
            network_urls: Vec::new(),
            exit: state.exit,
            depends_on: service
                .depends_on
                .iter()
                .map(|(name, &condition)| Dependency { service: name.clone(), condition })
                .collect(),
            waiting_on,
            cpu_percent: None,
            memory_bytes: None,
            ready_after_ms: time_to_ready.map(|after| after.as_millis() as u64),
            message,
            actions: ActionView::of(&service.actions),
        }
    }
}

impl Engine {
    /// Returns the address of a service at the proxy.
    pub(super) fn origin_of(&self, service: &Service) -> Option<String> {
        let stack = self.stack.as_ref()?.proxy.as_ref()?;
        Some(stack.origin(&service.proxy.as_ref()?.label))
    }
}

impl ServiceState {
    /// What the user should know beyond the phase.
    fn notice(&self) -> Option<&Message> {
        let run = self.newest_run();
        let of_run = || run.and_then(|run| run.note.as_ref().or(run.warnings.first()));
        let held = self.held_restart.as_ref().map(|held| &held.notice);
        held.or_else(|| self.saves.message()).or_else(of_run)
    }

    /// Returns its URL: where it is listening or, until that is known, where it should.
    fn url(&self, phase: Phase) -> Option<String> {
        let service = &self.service;
        if service.lazy.is_some() {
            return match phase {
                Phase::Idle | Phase::Blocked | Phase::Done | Phase::Failed => None,
                // devstack itself is listening.
                Phase::Asleep
                | Phase::Waiting
                | Phase::Starting
                | Phase::Ready
                | Phase::Unhealthy
                | Phase::Stopping
                | Phase::Backoff => service.url(),
            };
        }
        match (phase, self.live().and_then(|run| run.facts.listening.as_ref())) {
            (Phase::Starting | Phase::Ready | Phase::Unhealthy, Some(listening)) => {
                let ports: Vec<u16> = service.ports.iter().map(|port| port.number).collect();
                // A debugger port has no URL.
                let has_port = service.port().is_some();
                let port = listening_port(&ports, listening).filter(|_| has_port)?;
                local_url(&service.url_form, &service.launch.host, port, listening)
            }
            // Without a probe, nothing says that it listens at all.
            (Phase::Ready | Phase::Unhealthy, None) if service.ready.probes.is_empty() => None,
            (Phase::Ready | Phase::Unhealthy, None) => service.url(),
            (
                Phase::Idle
                | Phase::Asleep
                | Phase::Waiting
                | Phase::Blocked
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
