//! Port loss: other processes listening on a port that was assigned to a service. What is seen is
//! gathered off the loop and judged by `ports`.

use std::sync::Arc;

use super::off_loop::off_loop;
use super::port_evidence::{AboutToStart, ExitFinding, StartVerdict, inspect, investigate};
use super::status::run_notes;
use super::supervisor::Supervisor;
use crate::engine::{Effect, ExitBlame, Input};
use crate::model::{Event, EventKind, Message, MessageClass, RunId, Service};
use crate::ports::PortBlame;

/// What was found out about ports off the loop.
pub(super) enum PortVerdict {
    /// Whether this service may start on its ports.
    Start(Arc<Service>, StartVerdict),
    /// Why a run of this service exited before it was ready.
    Exit(RunId, Arc<Service>, ExitFinding),
}

impl Supervisor {
    /// Inspects the ports of all services that are about to start: one scan serves them all.
    pub(super) fn inspect_ports(&self, effects: &[Effect]) {
        let asked = effects.iter().filter_map(|effect| match effect {
            Effect::InspectPorts { service, first, lingering, former_data } => Some(AboutToStart {
                service: service.clone(),
                first: *first,
                lingering: *lingering,
                former_data: former_data.clone(),
            }),
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
            let mut verdicts = found.unwrap_or_default().into_iter();
            for AboutToStart { service, .. } in asked {
                let clear = StartVerdict { ports: Ok(()), data: None, hints: None };
                let verdict = verdicts.next().unwrap_or(clear);
                // The supervisor may have finished meanwhile.
                let _ = tell.send(PortVerdict::Start(service, verdict));
            }
        });
    }

    /// Finds out why a run that exited before it was ready is not to blame, if so. None of its
    /// processes is left.
    pub(super) fn investigate_exit(&mut self, run: RunId, service: Arc<Service>) {
        let (logs, ports) = (self.logs.clone(), self.reloader.ports());
        let refusal = self.executor.refusal(run, &service);
        let tell = self.port_reports.0.clone();
        tokio::spawn(async move {
            let exited = service.clone();
            let blame = off_loop(move || investigate(&exited, run, refusal, &logs, &ports)).await;
            let blame = blame.unwrap_or(ExitFinding::Ports(PortBlame::Unclear));
            // The supervisor may have finished meanwhile.
            let _ = tell.send(PortVerdict::Exit(run, service, blame));
        });
    }

    pub(super) fn on_port_report(&mut self, report: PortVerdict) -> Input {
        match report {
            PortVerdict::Start(service, StartVerdict { ports, data, hints }) => {
                match hints {
                    Some(hints) => drop(self.script_hints.insert(service.name.clone(), hints)),
                    None => drop(self.script_hints.remove(&service.name)),
                }
                if let Some(message) = data {
                    self.emit(Event {
                        service: Some(service.name.clone()),
                        what: EventKind::Note(message),
                    });
                }
                Input::PortsInspected(service, ports)
            }
            PortVerdict::Exit(run, service, finding) => {
                let blame = match finding {
                    ExitFinding::Ports(blame) => self.exit_blame(&service, blame),
                    ExitFinding::CannotRun(message) => ExitBlame::CannotRun(message),
                };
                Input::ExitInvestigated(run, blame)
            }
        }
    }

    fn exit_blame(&mut self, service: &Service, blame: PortBlame) -> ExitBlame {
        match blame {
            PortBlame::Taken(message) => ExitBlame::PortTaken(message),
            PortBlame::Insists(message) => ExitBlame::InsistsOnPort(message),
            PortBlame::Unnamed(message) => ExitBlame::MayInsistOnPort(message),
            PortBlame::Lingers(port) => ExitBlame::PortLingers(port),
            PortBlame::OpenedPassedPort(number) if service.lazy.is_some() => {
                ExitBlame::CannotRun(run_notes::port_is_kept(number))
            }
            PortBlame::OpenedPassedPort(number) => {
                self.emit(Event {
                    service: Some(service.name.clone()),
                    what: EventKind::Note(run_notes::port_is_passed(number)),
                });
                ExitBlame::None
            }
            PortBlame::Reservation => {
                let text = "address already in use; trying again without the port reservation";
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
