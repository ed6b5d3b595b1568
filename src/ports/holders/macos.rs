//! macOS: port probes, and what this system does not show.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use super::holder::HolderProcess;
use crate::ports::availability::{
    BindAddress, BindAttempt, BindScope, PortAvailability, refuses_careless_bind, try_bind,
};
use crate::ports::lease::Announcer;
use crate::ports::{LeaseOwner, ListenerOwner, ListeningSocket, PortHolder};
use crate::sys::process::processes;
use crate::sys::sockets::listeners_of;

/// A wildcard and a loopback address can be bound side by side, so each is tried separately.
const ADDRESSES: [BindAddress; 4] = [
    BindAddress::Loopback4,
    BindAddress::Loopback6,
    BindAddress::Wildcard4,
    BindAddress::Wildcard6,
];

pub(crate) fn probe(port: u16, scope: BindScope) -> PortAvailability {
    let mut found = PortAvailability::Free;
    let addresses: &[BindAddress] = match scope {
        BindScope::Everywhere => &ADDRESSES,
        BindScope::Address(ip) => {
            &[BindAddress::One(ip), BindAddress::Wildcard4, BindAddress::Wildcard6]
        }
    };
    for &address in addresses {
        match try_bind(BindAttempt { address, listen: false }, port) {
            None | Some(PortAvailability::Free) => {}
            Some(PortAvailability::InUse) => return PortAvailability::InUse,
            Some(other @ (PortAvailability::Denied | PortAvailability::Failed(_))) => found = other,
        }
    }
    found
}

/// Whether closed connections keep a port. The bind is asked first: it takes microseconds, and the
/// listeners are those of all processes.
pub(crate) fn is_in_time_wait(port: u16) -> bool {
    refuses_careless_bind(port)
        && crate::sys::sockets::listeners(Some(port)).is_none_or(|found| found.is_empty())
}

/// Not possible: on macOS, a socket that is only bound blocks all listeners.
pub(crate) fn hold(_port: u16, _scope: BindScope) -> Option<OwnedFd> {
    None
}

/// Not possible either.
pub(crate) fn keep_from_connections(_port: u16) -> Option<OwnedFd> {
    None
}

/// Not supported: macOS has no names that disappear with their process.
pub(crate) fn announce(_port: u16) -> Result<Option<OwnedFd>, std::io::Error> {
    Ok(None)
}

/// Always `None`, because macOS has no announcements.
pub(crate) fn announcer(_port: u16) -> Option<Announcer> {
    None
}

/// Always `None`, as [`announcer`].
pub(crate) fn labelled_lease(_port: u16) -> Option<LeaseOwner> {
    None
}

/// Never returns `NotListening`, because sockets of other users are hidden.
pub(crate) fn listener_owner(port: u16, scope: BindScope, tree: &[u32]) -> ListenerOwner {
    let ours: Vec<ListeningSocket> = (tree.iter().flat_map(|pid| listeners_of(*pid)))
        .filter(|listener| listener.address.port() == port)
        .collect();
    let sockets: BTreeSet<u64> = ours.iter().map(|listener| listener.socket).collect();
    let stranger = |found: &ListeningSocket| {
        found.address.port() == port
            && !sockets.contains(&found.socket)
            && scope.includes(found.address.ip())
            && (sockets.is_empty() || found.is_reachable_locally())
    };
    let listens = |pid: u32| listeners_of(pid).iter().any(stranger);
    let ours: BTreeSet<_> = ours.iter().map(|listener| listener.address).collect();
    let ours: Vec<_> = ours.into_iter().collect();
    match processes().into_iter().find(|pid| listens(*pid)).and_then(HolderProcess::read) {
        Some(process) if ours.is_empty() => ListenerOwner::Foreign(PortHolder::of(&process)),
        Some(process) => ListenerOwner::Shared(ours, PortHolder::of(&process)),
        None if ours.is_empty() => ListenerOwner::Unknown,
        None => ListenerOwner::Ours(ours),
    }
}

/// Only used for port forwarders of other users, whose listeners are hidden on macOS.
pub(crate) fn named(_name: &str) -> Vec<u32> {
    Vec::new()
}

/// macOS has no control groups.
pub(crate) fn control_groups(_pid: Option<u32>) -> Option<String> {
    None
}

/// Open files of other processes are not inspected here.
pub(crate) fn stack_dir(_pid: u32) -> Option<PathBuf> {
    None
}
