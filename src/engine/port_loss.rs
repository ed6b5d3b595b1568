use std::collections::BTreeMap;
use std::sync::Arc;

use super::failure::ServiceFailure;
use super::run_state::{ExitVerdict, RunStage, RunState, ServiceOutcome};
use super::service_state::{EngineTime, ServiceState};
use super::{Effect, Engine, ExitBlame, StartObstacle, failure_text};
use crate::model::{Cause, EventKind, Message, MessageClass, Name, OnExit, RunId, Service, Stack};

/// A service fails after losing this many ports in a row: one lost race is just bad luck.
const MAX_PORT_LOSSES: u32 = 10;

/// Lost races for a port. They do not count as crashes: the service waits for another port.
impl Engine {
    /// Lets a service start whose ports are clear; [`Engine::start_wanted`] has the last word.
    pub(super) fn ports_inspected(
        &mut self,
        now: EngineTime,
        service: &Service,
        verdict: Result<(), StartObstacle>,
        effects: &mut Vec<Effect>,
    ) {
        let ending = self.shutdown.is_some();
        let Some(service_state) = self.services.get_mut(&service.name) else { return };
        let awaited = |asked: &mut Arc<Service>| asked.ports == service.ports;
        let waits = service_state.inspected.take_if(awaited).is_some()
            && service_state.is_waiting_to_start()
            && service_state.service.ports == service.ports;
        match verdict {
            Ok(()) if waits => drop(self.clear_ports.insert(service.name.clone())),
            Err(StartObstacle::PortTaken(message)) if waits => {
                service_state.state = service_state.await_port(message, ending, effects)
            }
            Err(StartObstacle::PortLingers(port)) if waits => {
                service_state.state = service_state.await_closed(now, port, ending)
            }
            Ok(()) | Err(_) => {}
        }
    }

    pub(super) fn port_lost(&mut self, run: RunId, message: Message, effects: &mut Vec<Effect>) {
        let Some(state) = self.live_service_mut(run) else { return };
        let debugged = state.is_debugged();
        let Some(live) = state.live_mut() else { return };
        match live.stage {
            RunStage::Starting { .. } | RunStage::Late { .. } => {
                state.pending_restart.get_or_insert(Cause::PortLost(message));
            }
            // Only its debugger can lack a port now: no reason to stop a running service.
            RunStage::Ready { .. } | RunStage::Unhealthy { .. } if debugged => {
                live.facts.note.get_or_insert_with(|| message.clone());
                state.emit(EventKind::Note(message), effects);
            }
            RunStage::Launching { .. }
            | RunStage::Ready { .. }
            | RunStage::Unhealthy { .. }
            | RunStage::Stopping { .. }
            | RunStage::Draining { .. } => {}
        }
    }

    pub(super) fn exit_investigated(
        &mut self,
        now: EngineTime,
        run: RunId,
        excuse: ExitBlame,
        effects: &mut Vec<Effect>,
    ) {
        let ending = self.shutdown.is_some();
        let Some(state) = self.live_service_mut(run) else { return };
        let Some(RunStage::Draining { verdict: ExitVerdict::Undecided(exit), .. }) = state.stage()
        else {
            return;
        };
        let exit = *exit;
        let renewed = state.take_restart().is_some();
        let excuse = match excuse {
            ExitBlame::MayInsistOnPort(message) if state.crashed => {
                ExitBlame::InsistsOnPort(message)
            }
            ExitBlame::MayInsistOnPort(_) => ExitBlame::None,
            excuse => excuse,
        };
        let insists = matches!(excuse, ExitBlame::InsistsOnPort(_));
        let mut ends_stack = false;
        let next = match excuse {
            _ if renewed => RunState::Idle,
            ExitBlame::PortTaken(message) => state.await_port(message, ending, effects),
            ExitBlame::ReservationInTheWay(message) => {
                state.start_cause = Some(Cause::PortReservationDropped(message.text));
                RunState::Idle
            }
            ExitBlame::PortLingers(port) => {
                state.start_cause = Some(Cause::RestartedAfter(exit));
                state.lingering = Some(port);
                state.await_closed(now, port, ending)
            }
            ExitBlame::InsistsOnPort(message) | ExitBlame::CannotRun(message) => {
                ends_stack = state.service.on_exit == OnExit::Shutdown;
                // What it insists on may be free by the next start.
                state.insisted = insists && !state.service.ports.is_empty();
                let failure = ServiceFailure::NotStarted(message);
                RunState::Finished(ServiceOutcome::Failed(failure))
            }
            ExitBlame::None | ExitBlame::MayInsistOnPort(_) => {
                ends_stack = state.service.on_exit == OnExit::Shutdown;
                state.after_unexpected(now, exit, ending || ends_stack)
            }
        };
        state.end_run(next);
        if ends_stack {
            let why = failure_text::exited(&state.service.name, exit);
            self.begin_shutdown(now, why, exit.exit_code(), super::ShutdownMode::Polite);
        }
        self.runs.remove(&run);
    }

    pub(super) fn ports_reassigned(
        &mut self,
        now: EngineTime,
        stack: Arc<Stack>,
        outcome: BTreeMap<Name, Result<(), Message>>,
        effects: &mut Vec<Effect>,
    ) {
        // The configuration did not change, so no plan is emitted.
        self.replace_stack(now, stack, effects);
        for (name, placed) in outcome {
            let Some(service_state) = self.services.get_mut(&name) else { continue };
            let RunState::AwaitingPort { lost } = &service_state.state else { continue };
            service_state.state = match placed {
                Ok(()) => {
                    service_state.start_cause = Some(Cause::PortLost(lost.clone()));
                    RunState::Idle
                }
                Err(message) => {
                    let failure = ServiceFailure::NotStarted(message);
                    RunState::Finished(ServiceOutcome::Failed(failure))
                }
            };
        }
    }
}

impl ServiceState {
    /// Orders an inspection of its ports, unless one is under way.
    pub(super) fn inspect_ports(&mut self, effects: &mut Vec<Effect>) {
        if self.inspected.as_ref().is_none_or(|asked| asked.ports != self.service.ports) {
            self.inspected = Some(self.service.clone());
            let (service, first) = (self.service.clone(), self.runs == 0);
            let (lingering, former_data) = (self.lingering, self.former_data.clone());
            effects.push(Effect::InspectPorts { service, first, lingering, former_data });
        }
    }

    /// Returns the next state while closed connections keep `port`. Not a crash: it will be free.
    fn await_closed(&self, now: EngineTime, port: u16, ending: bool) -> RunState {
        if ending || !self.wanted() {
            return RunState::Idle;
        }
        let message = failure_text::port_lingers(port);
        let cause = Cause::PortLingers(message);
        RunState::BackingOff { until: now + super::LINGER_INTERVAL, cause }
    }

    /// Chooses the ports of a service again that insisted on another one.
    pub(super) fn choose_ports_again(&mut self, effects: &mut Vec<Effect>) {
        self.insisted = false;
        effects.push(Effect::ReassignPorts(self.service.name.clone()));
        let lost = Message::new(MessageClass::Port, "choosing its port again");
        self.state = RunState::AwaitingPort { lost };
    }

    /// Returns the next state after a port was lost and nothing of the service runs.
    pub(super) fn await_port(
        &mut self,
        message: Message,
        ending: bool,
        effects: &mut Vec<Effect>,
    ) -> RunState {
        if ending || !self.wanted() {
            return RunState::Idle;
        }
        self.port_losses += 1;
        if self.port_losses > MAX_PORT_LOSSES {
            let (times, last) = (MAX_PORT_LOSSES, message.text);
            return RunState::Finished(ServiceOutcome::Failed(ServiceFailure::PortsLost {
                times,
                last,
            }));
        }
        effects.push(Effect::ReassignPorts(self.service.name.clone()));
        RunState::AwaitingPort { lost: message }
    }
}
