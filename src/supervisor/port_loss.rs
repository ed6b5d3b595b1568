//! Port loss: other processes listening on a port that was assigned to a service. What is seen is
//! gathered off the loop and judged by `ports`.

use std::sync::Arc;

use super::off_loop::off_loop;
use super::port_evidence::{AboutToStart, inspect, investigate};
use super::status::run_notes;
use super::supervisor::Supervisor;
use crate::engine::{Effect, ExitBlame, Input};
use crate::model::{Event, EventKind, Message, MessageClass, RunId, Service};
use crate::ports::PortBlame;

/// What was found out about ports off the loop.
pub(super) enum PortVerdict {
    /// Whether this service may start on its ports.
    Start(Arc<Service>, Result<(), Message>),
    /// Why a run of this service exited before it was ready.
    Exit(RunId, Arc<Service>, PortBlame),
}

impl Supervisor {
    /// Inspects the ports of all services that are about to start: one scan serves them all.
    pub(super) fn inspect_ports(&self, effects: &[Effect]) {
        let asked = effects.iter().filter_map(|effect| match effect {
            Effect::InspectPorts { service, first } => Some((service.clone(), *first)),
            _ => None,
        });
        let asked: Vec<AboutToStart> = asked.collect();
        if asked.is_empty() {
            return;
        }
        let (ports, tell) = (self.reloader.ports(), self.port_reports.0.clone());
        tokio::spawn(async move {
            let services = asked.clone();
            let found = off_loop(move || inspect(&services, &ports)).await;
            // Without an answer they start: if a port is taken, the exit shows it.
            let verdicts = found.unwrap_or_else(|| vec![Ok(()); asked.len()]);
            for ((service, _), verdict) in asked.into_iter().zip(verdicts) {
                // The supervisor may have finished meanwhile.
                let _ = tell.send(PortVerdict::Start(service, verdict));
            }
        });
    }

    /// Finds out why a run that exited before it was ready is not to blame, if so. None of its
    /// processes is left.
    pub(super) fn investigate_exit(&self, run: RunId, service: Arc<Service>) {
        let (logs, ports) = (self.logs.clone(), self.reloader.ports());
        let tell = self.port_reports.0.clone();
        tokio::spawn(async move {
            let exited = service.clone();
            let blame = off_loop(move || investigate(&exited, &logs, &ports)).await;
            let blame = blame.unwrap_or(PortBlame::Unclear);
            // The supervisor may have finished meanwhile.
            let _ = tell.send(PortVerdict::Exit(run, service, blame));
        });
    }

    pub(super) fn on_port_report(&mut self, report: PortVerdict) -> Input {
        match report {
            PortVerdict::Start(service, verdict) => Input::PortsInspected(service, verdict),
            PortVerdict::Exit(run, service, blame) => {
                Input::ExitInvestigated(run, self.exit_blame(&service, blame))
            }
        }
    }

    fn exit_blame(&mut self, service: &Service, blame: PortBlame) -> ExitBlame {
        match blame {
            PortBlame::Taken(message) => ExitBlame::PortTaken(message),
            PortBlame::OpenedPassedPort(number) => {
                self.emit(Event {
                    service: Some(service.name.clone()),
                    what: EventKind::Note(run_notes::port_is_passed(number)),
                });
                ExitBlame::None
            }
            PortBlame::Reservation => {
                let text = "restarting without the port reservation (the service binds without SO_REUSEADDR)";
                ExitBlame::ReservationInTheWay(Message::new(MessageClass::Port, text))
            }
            // If the port may not move, time may help.
            PortBlame::UsedBefore(Some(number)) if self.reloader.avoid_port(service, number) => {
                let text = format!("port {number} was in use, but nothing is listening on it");
                ExitBlame::PortTaken(Message::new(MessageClass::Port, text))
            }
            PortBlame::UsedBefore(_) | PortBlame::NoSign | PortBlame::Unclear => ExitBlame::None,
        }
    }
}
