use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::holder::Process;
use super::{Holder, Listener, system};

/// Who listens on `port`, the longest-running process first. A listener whose process is not shown gives a holder without pid.
/// Empty: nobody listens, or the system shows nothing. Takes milliseconds.
pub fn holders(port: u16) -> Vec<Holder> {
    let found = system::listeners(Some(port)).unwrap_or_default();
    name_holders(&found).remove(&port).unwrap_or_default()
}

/// [`holders`] of several ports for the price of one.
pub fn holders_of(ports: &BTreeSet<u16>) -> BTreeMap<u16, Vec<Holder>> {
    if ports.is_empty() {
        return BTreeMap::new();
    }
    let mut found = system::listeners(None).unwrap_or_default();
    found.retain(|listener| ports.contains(&listener.address.port()));
    name_holders(&found)
}

/// The holders of these listeners by port.
pub(super) fn name_holders(listeners: &[Listener]) -> BTreeMap<u16, Vec<Holder>> {
    if listeners.is_empty() {
        return BTreeMap::new();
    }
    let pids = system::pids_by_socket(&listeners.iter().map(|listener| listener.socket).collect());
    let mut by_port: BTreeMap<u16, Found> = BTreeMap::new();
    for listener in listeners {
        let found = by_port.entry(listener.address.port()).or_default();
        match pids.get(&listener.socket) {
            Some(pids) => found.pids.extend(pids),
            None => {
                found.hidden.insert(listener.uid);
            }
        }
    }
    by_port.into_iter().map(|(port, found)| (port, found.named())).collect()
}

/// What was found out about one port.
#[derive(Default)]
struct Found {
    pids: BTreeSet<u32>,
    /// The users of sockets whose processes are not shown.
    hidden: BTreeSet<Option<u32>>,
}

impl Found {
    fn named(self) -> Vec<Holder> {
        let mut processes: Vec<Process> =
            self.pids.into_iter().filter_map(system::process).collect();
        // A server that shares its socket with workers is older than they are; but a devstack that passes one to a
        // service only keeps it for that.
        let passes = |process: &Process| process.name == "devstack";
        processes.sort_by_key(|process| (passes(process), Reverse(process.age), process.pid));
        let hidden = self.hidden.into_iter().map(Holder::hidden);
        processes.iter().map(Holder::of).chain(hidden).collect()
    }
}
