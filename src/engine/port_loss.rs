use std::collections::BTreeMap;
use std::sync::Arc;

use super::service_state::{EngineTime, ExitVerdict, RunState, ServiceOutcome, ServiceState};
use super::{Effect, Engine, ExitBlame};
use crate::model::{Cause, EventKind, Message, MessageClass, Name, OnExit, RunId, Service, Stack};

/// A service fails after losing this many ports in a row: one lost race is just bad luck.
const MAX_PORT_LOSSES: u32 = 10;

/// Lost races for a port. They do not count as crashes: the service waits for another port.
impl Engine {
    /// Lets a service start whose ports are clear; [`Engine::start_wanted`] has the last word.
    pub(super) fn ports_inspected(
        &mut self,
        service: &Service,
        verdict: Result<(), Message>,
        effects: &mut Vec<Effect>,
    ) {
        let ending = self.shutdown.is_some();
        let Some(slot) = self.services.get_mut(&service.name) else { return };
        let awaited = |asked: &mut Arc<Service>| asked.ports == service.ports;
        let waits = slot.inspected.take_if(awaited).is_some()
            && slot.is_waiting_to_start()
            && slot.service.ports == service.ports;
        match verdict {
            Ok(()) if waits => drop(self.clear_ports.insert(service.name.clone())),
            Err(message) if waits => slot.state = slot.await_port(message, ending, effects),
            Ok(()) | Err(_) => {}
        }
    }

    pub(super) fn port_lost(&mut self, run: RunId, message: Message, effects: &mut Vec<Effect>) {
        let Some(slot) = self.live_service_mut(run) else { return };
        match &slot.state {
            RunState::Starting { .. } | RunState::Late { .. } => {
                if slot.pending_restart.is_none() {
                    slot.pending_restart = Some(Cause::PortLost(message));
                }
            }
            // Only its debugger can lack a port now: no reason to stop a running service.
            RunState::Ready { .. } | RunState::Unwell { .. } if slot.is_debugged() => {
                slot.note.get_or_insert_with(|| message.clone());
                slot.emit(EventKind::Note(message), effects);
            }
            RunState::Idle
            | RunState::Launching { .. }
            | RunState::Ready { .. }
            | RunState::Unwell { .. }
            | RunState::Stopping { .. }
            | RunState::Draining { .. }
            | RunState::Backoff { .. }
            | RunState::Displaced { .. }
            | RunState::Over(_) => {}
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
        let Some(slot) = self.live_service_mut(run) else { return };
        let RunState::Draining { verdict: ExitVerdict::Undecided(exit), .. } = slot.state else {
            return;
        };
        let renewed = slot.pending_restart.take().is_some();
        let mut ends_stack = false;
        slot.state = match excuse {
            ExitBlame::PortTaken(_) | ExitBlame::ReservationInTheWay(_) | ExitBlame::None
                if renewed =>
            {
                RunState::Idle
            }
            ExitBlame::PortTaken(message) => slot.await_port(message, ending, effects),
            ExitBlame::ReservationInTheWay(message) => {
                slot.start_cause = Some(Cause::PortReservationDropped(message.text));
                RunState::Idle
            }
            ExitBlame::None => {
                ends_stack = slot.service.on_exit == OnExit::Shutdown;
                slot.after_unexpected(now, exit, ending || ends_stack)
            }
        };
        if ends_stack {
            let why = format!("{} exited ({exit})", slot.service.name);
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
        self.replace_stack(now, stack, self.selection.clone(), effects);
        for (name, placed) in outcome {
            let Some(slot) = self.services.get_mut(&name) else { continue };
            let RunState::Displaced { message } = &slot.state else { continue };
            slot.state = match placed {
                Ok(()) => {
                    slot.start_cause = Some(Cause::PortLost(message.clone()));
                    RunState::Idle
                }
                Err(message) => RunState::Over(ServiceOutcome::Failed(message)),
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
            effects.push(Effect::InspectPorts { service, first });
        }
    }

    /// Whether the current run may have exited because it lost a port before it was ready.
    pub(super) fn may_have_lost_port(&self) -> bool {
        self.time_to_ready.is_none() && !self.launched.ports.is_empty()
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
            let text = format!(
                "lost its port to another process {MAX_PORT_LOSSES} times in a row; last: {}",
                message.text
            );
            let help = format!(
                "stop the processes that take its port, then run `devstack restart {}`",
                self.service.name
            );
            return RunState::Over(ServiceOutcome::Failed(
                Message::new(MessageClass::Port, text).help(help),
            ));
        }
        effects.push(Effect::ReassignPorts(self.service.name.clone()));
        RunState::Displaced { message }
    }
}
