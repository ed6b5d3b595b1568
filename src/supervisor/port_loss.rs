//! Port loss: other processes listening on a port that was assigned to a service.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::address_in_use;
use super::status::run_notes;
use super::supervisor::Supervisor;
use crate::engine::{Effect, ExitBlame, Input};
use crate::model::{Event, EventKind, Message, MessageClass, Phase, PortKey, RunId, Service};
use crate::ports::{self, ListenerOwner, ListeningSocket, PortHolder};

/// Number of log lines of a run to search for an address in use: as long as a traceback.
const SEARCHED_LINES: usize = 100;

impl Supervisor {
    /// Removes spawns from `effects` that would find another process on their port, and their
    /// events. One scan of all listeners serves all spawns.
    pub(super) fn withhold_spawns(&self, effects: &mut Vec<Effect>) -> Vec<Input> {
        let robbed = self.find_lost_ports(effects);
        if robbed.is_empty() {
            return Vec::new();
        }
        effects.retain(|effect| match effect {
            Effect::Spawn(run, _) => !robbed.contains_key(run),
            Effect::Emit(event) => match event.what {
                EventKind::Phase { to: Phase::Starting, run: Some(run), .. } => {
                    !robbed.contains_key(&run)
                }
                _ => true,
            },
            _ => true,
        });
        robbed.into_iter().map(|(run, message)| Input::PortLost(run, message)).collect()
    }

    fn find_lost_ports(&self, effects: &[Effect]) -> BTreeMap<RunId, Message> {
        let spawns: Vec<(RunId, &Arc<Service>)> = effects.iter().filter_map(spawned).collect();
        if spawns.is_empty() {
            return BTreeMap::new();
        }
        let numbers = spawns.iter().flat_map(|(_, service)| numbers(service)).collect();
        // Listeners on addresses that are not local are rarely in the way; if they are, the service
        // reports it.
        let holders = holders(&numbers, ListeningSocket::is_reachable_locally);
        let ports = self.reloader.ports();
        let mut robbed = BTreeMap::new();
        for (run, service) in spawns {
            let unclaimed = service.ports.iter().find(|port| {
                ports.is_unclaimed(&PortKey::new(&service.name, &port.name), port.number)
            });
            let thief = foreign_holder(service, &holders, |holder| {
                // The service's own container may outlive the program that started it.
                self.engine.is_first(run) || !holder.may_act_for_service()
            });
            let why = thief.or_else(|| {
                let number = unclaimed?.number;
                let text = format!("port {number} was unavailable; choosing again");
                Some(Message::new(MessageClass::Port, text))
            });
            robbed.extend(why.map(|why| (run, why)));
        }
        robbed
    }

    /// Finds out why a run that exited before it was ready is not to blame, if so. None of its
    /// processes is left.
    pub(super) fn examine_exit(&mut self, run: RunId, service: &Service) -> Input {
        Input::ExitInvestigated(run, self.exit_blame(service))
    }

    fn exit_blame(&mut self, service: &Service) -> ExitBlame {
        let name = &service.name;
        let lines = self.logs.tail(name, SEARCHED_LINES);
        let blamed: Vec<&String> =
            lines.iter().filter(|line| address_in_use::mentions_address_in_use(line)).collect();
        let holders = holders(&numbers(service), |_| true);
        // Blame an unidentified process only if the output mentions the error as well.
        let certain = |holder: &PortHolder| !blamed.is_empty() || !holder.may_act_for_service();
        if let Some(message) = foreign_holder(service, &holders, certain) {
            return ExitBlame::PortTaken(message);
        }
        if holders.values().flatten().any(|holder| !holder.is_this_process()) {
            return ExitBlame::None;
        }
        if blamed.is_empty() {
            // In case it was the hold, release it for the next start.
            self.reloader.ports().drop_holds(name);
            return ExitBlame::None;
        }
        if let Some(number) = opened_twice(service, &blamed) {
            self.emit(Event {
                service: Some(name.clone()),
                what: EventKind::Note(run_notes::port_is_passed(number)),
            });
            return ExitBlame::None;
        }
        if self.reloader.ports().never_hold(name) {
            let text =
                "restarting without the port reservation (the service binds without SO_REUSEADDR)";
            return ExitBlame::ReservationInTheWay(Message::new(MessageClass::Port, text));
        }
        // Either a process that has exited since, or connections in TIME_WAIT, which a program
        // without `SO_REUSEADDR` cannot bind over. If the port may not move, time may help. Many
        // programs do not report which port it was.
        let named =
            |number: &u16| blamed.iter().any(|line| address_in_use::mentions_port(line, *number));
        let numbers = numbers(service);
        let meant = numbers.iter().find(|number| named(number));
        match meant
            .or_else(|| numbers.iter().find(|number| ports::is_in_time_wait(**number)))
            .copied()
        {
            Some(number) if self.reloader.avoid_port(service, number) => {
                let text = format!("port {number} was in use, but nothing is listening on it");
                ExitBlame::PortTaken(Message::new(MessageClass::Port, text))
            }
            Some(_) | None => ExitBlame::None,
        }
    }

    /// Returns the process that listens on a port in place of a run that is not ready.
    pub(super) fn foreign_listener(&self, run: RunId, port: u16) -> Option<Message> {
        let service = self.engine.launched_service(run)?;
        if !numbers(service).contains(&port) {
            return None;
        }
        match ports::listener_owner(port, &self.hands.tree(run)) {
            ListenerOwner::Foreign(holder) | ListenerOwner::Shared(_, holder) => {
                let certain = !holder.may_act_for_service() && !holder.is_this_process();
                certain.then(|| Message::new(MessageClass::Port, ports::loss_text(port, &[holder])))
            }
            ListenerOwner::Ours(_) | ListenerOwner::NotListening | ListenerOwner::Unknown => None,
        }
    }
}

fn spawned(effect: &Effect) -> Option<(RunId, &Arc<Service>)> {
    match effect {
        Effect::Spawn(run, service) if !service.ports.is_empty() => Some((*run, service)),
        _ => None,
    }
}

/// Returns the passed port that the program tried to open itself, if that was the problem.
fn opened_twice(service: &Service, blamed: &[&String]) -> Option<u16> {
    let named = |number: u16| blamed.iter().any(|line| address_in_use::mentions_port(line, number));
    let passed: Vec<u16> = service.activated_ports().map(|port| port.number).collect();
    let all = passed.len() == service.ports.len();
    let unnamed = all && !passed.iter().any(|number| named(*number));
    passed.into_iter().find(|number| unnamed || named(*number))
}

fn numbers(service: &Service) -> BTreeSet<u16> {
    service.ports.iter().map(|port| port.number).collect()
}

/// Finds holders of these ports with listeners that count. Names are looked up only for ports in
/// use.
fn holders(
    numbers: &BTreeSet<u16>,
    counts: impl Fn(&ListeningSocket) -> bool,
) -> BTreeMap<u16, Vec<PortHolder>> {
    let listening = ports::listeners().into_iter().filter(counts);
    let listening = listening.map(|listener| listener.address.port());
    ports::holders_of_ports(&listening.filter(|port| numbers.contains(port)).collect())
}

/// Describes the first port of the service with a holder that counts.
fn foreign_holder(
    service: &Service,
    holders: &BTreeMap<u16, Vec<PortHolder>>,
    counts: impl Fn(&PortHolder) -> bool,
) -> Option<Message> {
    service.ports.iter().find_map(|port| {
        let holders = holders.get(&port.number)?;
        let thieves = holders.iter().filter(|holder| !holder.is_this_process() && counts(holder));
        let thieves: Vec<PortHolder> = thieves.cloned().collect();
        let taken = || Message::new(MessageClass::Port, ports::loss_text(port.number, &thieves));
        (!thieves.is_empty()).then(taken)
    })
}
