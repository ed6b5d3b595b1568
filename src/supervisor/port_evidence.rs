//! Gathers what can be seen of ports, off the loop, and lets `ports` judge it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use crate::log::StackLog;
use crate::model::{Message, PortKey, Service};
use crate::ports::{self, ExitEvidence, HoldersByPort, ListeningSocket, PortAllocator, PortBlame};
use crate::sync::lock_unpoisoned;

/// Number of log lines of a run to search for an address in use: as long as a traceback.
const SEARCHED_LINES: usize = 100;

/// A service that is about to start, and whether it has not run before.
pub(super) type AboutToStart = (Arc<Service>, bool);

/// Judges whether services may start on their ports. One scan of all listeners serves them all.
pub(super) fn inspect(
    services: &[AboutToStart],
    ports: &Mutex<PortAllocator>,
) -> Vec<Result<(), Message>> {
    let all = services.iter().flat_map(|(service, _)| numbers(service)).collect();
    // Listeners on addresses that are not local are rarely in the way; if they are, the service
    // reports it.
    let holders = holders(&all, ListeningSocket::is_reachable_locally);
    let ports = lock_unpoisoned(ports);
    let judge = |(service, first): &AboutToStart| {
        let unclaimed = service
            .ports
            .iter()
            .find(|port| ports.is_unclaimed(&PortKey::new(&service.name, &port.name), port.number));
        let unclaimed = unclaimed.map(|port| port.number);
        ports::judge_start(service, *first, &holders, unclaimed)
    };
    services.iter().map(judge).collect()
}

/// Judges an early exit, and drops a reservation that may have been in the way.
pub(super) fn investigate(
    service: &Service,
    logs: &StackLog,
    ports: &Mutex<PortAllocator>,
) -> PortBlame {
    let (name, numbers) = (&service.name, numbers(service));
    let lines = logs.tail(name, SEARCHED_LINES);
    let in_use = lines.iter().any(|line| ports::mentions_address_in_use(line));
    let lingering = numbers.iter().copied().filter(|port| in_use && ports::is_in_time_wait(*port));
    let evidence = ExitEvidence {
        holders: holders(&numbers, |_| true),
        held: lock_unpoisoned(ports).is_held(name),
        lingering: lingering.collect(),
        lines,
    };
    let blame = ports::judge_exit(service, &evidence);
    match blame {
        // In case it was the hold, release it for the next start.
        PortBlame::NoSign => drop(lock_unpoisoned(ports).drop_holds(name)),
        PortBlame::Reservation => drop(lock_unpoisoned(ports).never_hold(name)),
        PortBlame::Taken(_)
        | PortBlame::Unclear
        | PortBlame::OpenedPassedPort(_)
        | PortBlame::UsedBefore(_) => {}
    }
    blame
}

fn numbers(service: &Service) -> BTreeSet<u16> {
    service.ports.iter().map(|port| port.number).collect()
}

/// Finds holders of these ports with listeners that count. Names are looked up only for ports in
/// use.
fn holders(numbers: &BTreeSet<u16>, counts: impl Fn(&ListeningSocket) -> bool) -> HoldersByPort {
    let listening = ports::listeners().into_iter().filter(counts);
    let listening = listening.map(|listener| listener.address.port());
    ports::holders_of_ports(&listening.filter(|port| numbers.contains(port)).collect())
}
