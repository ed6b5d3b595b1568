mod container;
pub(crate) mod holder;
mod origin;
mod origin_resolver;
mod owner;
#[cfg_attr(target_os = "linux", path = "linux.rs")]
#[cfg_attr(target_os = "macos", path = "macos.rs")]
pub(crate) mod system;

pub use holder::{PortHolder, display_home_relative};
pub use origin::{ContainerEngine, HolderOrigin};
pub use owner::ListenerOwner;
#[cfg(test)]
pub(crate) use system::announcer;
pub(crate) use system::{hold, listener_owner, probe};

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::ListeningSocket;
use crate::sys::sockets;
use container::docker_forwarders;
use holder::HolderProcess;
use origin_resolver::{OriginResolver, is_orphan};

/// Returns the processes that listen on `port`, longest-running first. A hidden process gives a
/// holder without pid. Empty if there is no listener or the system shows none. Takes milliseconds.
pub fn holders_of_port(port: u16) -> Vec<PortHolder> {
    let found = sockets::listeners(Some(port)).unwrap_or_default();
    let pids = sockets::pids_by_socket(&numbers(&found));
    name_listeners(&found, &pids).remove(&port).unwrap_or_default()
}

/// Like [`holders_of_port`] for several ports, at the same cost.
pub fn holders_of_ports(ports: &BTreeSet<u16>) -> BTreeMap<u16, Vec<PortHolder>> {
    let found = listeners_on(ports);
    name_listeners(&found, &sockets::pids_by_socket(&numbers(&found)))
}

/// Returns one holder of each port and its ancestors with the same socket, for messages. Takes a
/// millisecond or two, unless the holder is hidden or among the oldest processes.
pub fn first_holders_of(ports: &BTreeSet<u16>) -> BTreeMap<u16, Vec<PortHolder>> {
    name_holders(&listeners_on(ports))
}

fn name_holders(listeners: &[ListeningSocket]) -> BTreeMap<u16, Vec<PortHolder>> {
    name_listeners(listeners, &sockets::first_pids_by_socket(&numbers(listeners)))
}

fn listeners_on(ports: &BTreeSet<u16>) -> Vec<ListeningSocket> {
    if ports.is_empty() {
        return Vec::new();
    }
    let mut found = sockets::listeners(None).unwrap_or_default();
    found.retain(|listener| ports.contains(&listener.address.port()));
    found
}

fn numbers(listeners: &[ListeningSocket]) -> BTreeSet<u64> {
    listeners.iter().map(|listener| listener.socket).collect()
}

/// `pids` maps sockets to the processes that have them open.
fn name_listeners(
    listeners: &[ListeningSocket],
    pids: &BTreeMap<u64, Vec<u32>>,
) -> BTreeMap<u16, Vec<PortHolder>> {
    let mut by_port: BTreeMap<u16, PortListeners> = BTreeMap::new();
    for listener in listeners {
        let found = by_port.entry(listener.address.port()).or_default();
        let forwarders;
        let known = match pids.get(&listener.socket) {
            Some(pids) => pids,
            None => {
                forwarders = docker_forwarders(listener);
                &forwarders
            }
        };
        let address = listener.address.ip();
        for pid in known {
            found.pids.entry(*pid).or_default().insert(address);
        }
        if known.is_empty() {
            found.hidden.entry(listener.uid).or_default().insert(address);
        }
    }
    let mut belonging = OriginResolver::new();
    by_port.into_iter().map(|(port, found)| (port, found.named(&mut belonging))).collect()
}

#[derive(Default)]
struct PortListeners {
    pids: BTreeMap<u32, BTreeSet<IpAddr>>,
    /// Owners of sockets whose processes are hidden.
    hidden: BTreeMap<Option<u32>, BTreeSet<IpAddr>>,
}

impl PortListeners {
    fn named(mut self, belonging: &mut OriginResolver) -> Vec<PortHolder> {
        let mut processes: Vec<HolderProcess> =
            self.pids.keys().copied().filter_map(HolderProcess::read).collect();
        // A server is older than workers that share its socket; a devstack that passes a socket
        // only keeps it for the service, so it comes last.
        let passes = |process: &HolderProcess| process.name == "devstack";
        processes.sort_by_key(|process| (passes(process), Reverse(process.age), process.pid));
        let mut shown = |process: &HolderProcess| {
            let origin = belonging.resolve(process);
            let orphan = is_orphan(process, origin.as_ref());
            let addresses = self.pids.remove(&process.pid).unwrap_or_default();
            let addresses = addresses.into_iter().collect();
            PortHolder {
                origin: origin.map(Box::new),
                orphan,
                addresses,
                ..PortHolder::of(process)
            }
        };
        let mut holders: Vec<PortHolder> = processes.iter().map(&mut shown).collect();
        holders.extend(self.hidden.into_iter().map(|(uid, addresses)| PortHolder {
            addresses: addresses.into_iter().collect(),
            ..PortHolder::hidden(uid)
        }));
        holders
    }
}
