mod container;
mod context_resolver;
pub(crate) mod holder;
mod holder_context;
#[cfg_attr(target_os = "linux", path = "linux.rs")]
#[cfg_attr(target_os = "macos", path = "macos.rs")]
pub(crate) mod system;

pub use holder::{PortHolder, display_home_relative};
pub use holder_context::HolderContext;
pub(crate) use system::{hold, is_in_time_wait, keep_from_connections, probe};

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use super::{BindScope, ListeningSocket};
use crate::sys::sockets;
use container::docker_forwarders;
use context_resolver::{ContextResolver, is_orphan};
use holder::HolderProcess;

/// The owner of a port's listener, from the view of a process tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenerOwner {
    /// A process of the tree listens, on these addresses.
    Ours(Vec<SocketAddr>),
    /// A process of the tree listens, and a foreign one on another address that clients try.
    Shared(Vec<SocketAddr>, PortHolder),
    /// Only a foreign process listens.
    Foreign(PortHolder),
    /// Nothing listens.
    NotListening,
    /// The system does not show it.
    Unknown,
}

/// Returns the processes that listen on `port`, longest-running first. A hidden process gives a
/// holder without pid. Empty if there is no listener or the system shows none. Takes milliseconds.
pub fn holders_of_port(port: u16) -> Vec<PortHolder> {
    let found = sockets::listeners(Some(port)).unwrap_or_default();
    let pids = sockets::pids_by_socket(&numbers(&found));
    name_listeners(&found, &pids).remove(&port).unwrap_or_default()
}

/// Like [`holders_of_port`] for several ports, at the same cost.
pub fn holders_of_ports(ports: &BTreeSet<u16>) -> BTreeMap<u16, Vec<PortHolder>> {
    holders_of_listeners(&listeners_on(|address| ports.contains(&address.port())))
}

/// Returns the processes of these listeners, by port.
pub fn holders_of_listeners(found: &[ListeningSocket]) -> BTreeMap<u16, Vec<PortHolder>> {
    name_listeners(found, &sockets::pids_by_socket(&numbers(found)))
}

/// Returns one holder of each port within its scope, and its ancestors with the same socket, for
/// messages. Takes a millisecond or two, unless the holder is hidden or among the oldest processes.
pub fn first_holders_of(ports: &BTreeMap<u16, BindScope>) -> BTreeMap<u16, Vec<PortHolder>> {
    if ports.is_empty() {
        return BTreeMap::new();
    }
    let counts = |scope: &BindScope, address: SocketAddr| scope.includes(address.ip());
    let asked = |address: SocketAddr| {
        ports.get(&address.port()).is_some_and(|scope| counts(scope, address))
    };
    name_holders(&listeners_on(asked))
}

/// Whether a process in `tree` listens on `port`. Takes about 20 µs if nothing listens; naming a
/// foreign holder takes milliseconds. Processes started after `tree` was listed count as foreign;
/// those that listen outside `scope` do not count.
pub fn listener_owner(port: u16, scope: BindScope, tree: &[u32]) -> ListenerOwner {
    system::listener_owner(port, scope, tree)
}

fn name_holders(listeners: &[ListeningSocket]) -> BTreeMap<u16, Vec<PortHolder>> {
    name_listeners(listeners, &sockets::first_pids_by_socket(&numbers(listeners)))
}

fn listeners_on(counts: impl Fn(SocketAddr) -> bool) -> Vec<ListeningSocket> {
    let mut found = sockets::listeners(None).unwrap_or_default();
    found.retain(|listener| counts(listener.address));
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
    let mut belonging = ContextResolver::new();
    by_port.into_iter().map(|(port, found)| (port, found.named(&mut belonging))).collect()
}

#[derive(Default)]
struct PortListeners {
    pids: BTreeMap<u32, BTreeSet<IpAddr>>,
    /// Owners of sockets whose processes are hidden.
    hidden: BTreeMap<Option<u32>, BTreeSet<IpAddr>>,
}

impl PortListeners {
    fn named(mut self, belonging: &mut ContextResolver) -> Vec<PortHolder> {
        let mut processes: Vec<HolderProcess> =
            self.pids.keys().copied().filter_map(HolderProcess::read).collect();
        // A server is older than workers that share its socket; a devstack that passes a socket
        // only keeps it for the service, so it comes last.
        let passes = |process: &HolderProcess| process.name == "devstack";
        processes.sort_by_key(|process| (passes(process), Reverse(process.age), process.pid));
        let mut shown = |process: &HolderProcess| {
            let context = belonging.resolve(process);
            let orphan = is_orphan(process, context.as_ref());
            let addresses = self.pids.remove(&process.pid).unwrap_or_default();
            let addresses = addresses.into_iter().collect();
            PortHolder {
                context: context.map(Box::new),
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
