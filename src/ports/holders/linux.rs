//! Linux: port probes and holds, and what announcements, control groups and open files prove.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::net::{AddressFamily, sockopt};

use super::holder::HolderProcess;
use super::name_holders;
use crate::ports::announce::PortAnnouncer;
use crate::ports::availability::{
    self, BindAddress, BindAttempt, BindScope, PortAvailability, bind_reusable, try_bind,
};
use crate::ports::lease::{self, Announcer};
use crate::ports::lease_file::LeaseLabel;
use crate::ports::{LeaseOwner, ListenerOwner, ListeningSocket, PortHolder, announce};
use crate::regular_file::{open_linked, read_proc};
use crate::sys::process;
use crate::sys::sockets::{SocketScan, has_closed_connections, listeners, sockets_of};

/// How the name of a devstack process begins.
const DEVSTACK: &str = "devstack";

/// How many open files of a process are checked; a devstack with hundreds of services has fewer.
const MOST_FILES: usize = 10_000;

/// One listening dual-stack socket detects every conflict, without IPv6 an IPv4 socket. A socket on
/// one address conflicts with those there and on the wildcards.
pub(crate) fn probe(port: u16, scope: BindScope) -> PortAvailability {
    let trial = |address| try_bind(BindAttempt { address, listen: true }, port);
    let one = match scope {
        BindScope::Everywhere => None,
        BindScope::Address(ip) => trial(BindAddress::One(ip)),
    };
    one.or_else(|| trial(BindAddress::Both))
        .or_else(|| trial(BindAddress::Wildcard4))
        .unwrap_or_else(|| PortAvailability::Failed(io::Error::other("no network")))
}

pub(crate) fn is_in_time_wait(port: u16) -> bool {
    listeners(Some(port)).is_some_and(|found| found.is_empty()) && has_closed_connections(port)
}

/// Without `listen`, the socket does not block programs that set `SO_REUSEADDR`, but the kernel
/// still does not pick the port itself.
pub(crate) fn hold(port: u16, scope: BindScope) -> Option<OwnedFd> {
    if let BindScope::Address(ip) = scope
        && let Ok(socket) = bind_reusable(BindAddress::One(ip), port)
    {
        return Some(socket);
    }
    bind_reusable(BindAddress::Both, port)
        .or_else(|_| bind_reusable(BindAddress::Wildcard4, port))
        .ok()
}

/// An address that no machine has, of the block that routers discard. Any socket bound to a port
/// keeps outgoing connections from it, but one here is in the way of no server, except for one that
/// binds `[::]` for both families without `SO_REUSEADDR`.
const NOWHERE: Ipv6Addr = Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0xd5);

pub(crate) fn keep_from_connections(port: u16) -> Option<OwnedFd> {
    let socket = availability::open(AddressFamily::INET6).ok()?;
    sockopt::set_socket_reuseaddr(&socket, true).ok()?;
    sockopt::set_ipv6_v6only(&socket, true).ok()?;
    sockopt::set_ipv6_freebind(&socket, true).ok()?;
    rustix::net::bind(&socket, &SocketAddr::from((NOWHERE, port))).ok()?;
    Some(socket)
}

/// Returns what announced `port`, if anything did. Takes up to a millisecond.
pub(crate) fn announcer(port: u16) -> Option<Announcer> {
    let PortAnnouncer { pid, uid } = announce::announcer(port)?;
    let file = format!("/{port}.lock");
    let label = pid.map(|pid| lease_label(pid, file.as_bytes(), |_| true));
    let devstack = |label| Some(Announcer::Devstack(LeaseOwner::process(pid, uid, label)));
    match (label, pid) {
        (Some(Ok(Some(label))), _) => devstack(Some(label)),
        // Its files are hidden, and maybe its name.
        (Some(Err(_)), Some(pid)) if name(pid).is_none_or(|name| name.starts_with(DEVSTACK)) => {
            devstack(None)
        }
        (_, Some(pid)) => Some(Announcer::Other(match HolderProcess::read(pid) {
            Some(process) => PortHolder::of(&process).to_string(),
            None => format!("a process (pid {pid})"),
        })),
        // In another PID namespace.
        (_, None) if uid.is_some() => devstack(None),
        // Its queue is full, which any program can bring about: that proves no devstack.
        (_, None) => Some(Announcer::Other(PortHolder::hidden(None).to_string())),
    }
}

/// Returns another devstack whose open lock file has the label of `port`, which is written before the
/// port is announced. Looks at the files of all processes named devstack.
pub(crate) fn labelled_lease(port: u16) -> Option<LeaseOwner> {
    let file = format!("/{port}.lock");
    let others = process::processes().into_iter().filter(|pid| *pid != std::process::id());
    let mut devstacks = others.filter(|pid| name(*pid).is_some_and(|it| it.starts_with(DEVSTACK)));
    devstacks.find_map(|pid| {
        let label = lease_label(pid, file.as_bytes(), |_| true).ok()??;
        Some(LeaseOwner::process(Some(pid), None, Some(label)))
    })
}

pub(crate) use crate::ports::announce::announce;

/// See [`super::listener_owner`].
pub(crate) fn listener_owner(port: u16, scope: BindScope, tree: &[u32]) -> ListenerOwner {
    let Some(found) = listeners(Some(port)) else { return ListenerOwner::Unknown };
    if found.is_empty() {
        return ListenerOwner::NotListening;
    }
    let sockets: BTreeSet<u64> = found.iter().map(|listener| listener.socket).collect();
    let mut hidden = false;
    let mut held = BTreeSet::new();
    for &pid in tree {
        match sockets_of(pid, &sockets) {
            SocketScan::These(some) => held.extend(some),
            SocketScan::Hidden => hidden = true,
        }
        if held == sockets {
            break;
        }
    }
    let (ours, mut strangers): (Vec<ListeningSocket>, Vec<ListeningSocket>) =
        found.into_iter().partition(|listener| held.contains(&listener.socket));
    strangers.retain(|listener| scope.includes(listener.address.ip()));
    let ours: Vec<_> = ours.iter().map(|listener| listener.address).collect();
    match (ours.is_empty(), hidden) {
        (true, true) => return ListenerOwner::Unknown,
        (true, false) => {}
        (false, hidden) => {
            if hidden || !strangers.iter().any(ListeningSocket::is_reachable_locally) {
                return ListenerOwner::Ours(ours);
            }
        }
    }
    let holder = name_holders(&strangers).remove(&port).and_then(|all| all.into_iter().next());
    match (holder, ours.is_empty()) {
        (Some(holder), true) => ListenerOwner::Foreign(holder),
        (Some(holder), false) => ListenerOwner::Shared(ours, holder),
        (None, true) => ListenerOwner::NotListening,
        (None, false) => ListenerOwner::Ours(ours),
    }
}

pub(super) fn named(wanted: &str) -> Vec<u32> {
    let called = |pid: &u32| name(*pid).is_some_and(|name| name == wanted);
    process::processes().into_iter().filter(called).collect()
}

/// Largest file of `/proc` to read, in bytes.
const MAX_PROC: u64 = 1024 * 1024;

fn name(pid: u32) -> Option<String> {
    let text = read_proc(format!("/proc/{pid}/comm"), MAX_PROC)?;
    Some(text.trim_end().to_owned())
}

/// Returns the control groups of a process in the kernel's format; `None` means this process.
pub(super) fn control_groups(pid: Option<u32>) -> Option<String> {
    let who = pid.map_or("self".to_owned(), |pid| pid.to_string());
    read_proc(format!("/proc/{who}/cgroup"), MAX_PROC)
}

/// Returns the project directory of a devstack process, from the lock files it has open.
pub(super) fn stack_dir(pid: u32) -> Option<PathBuf> {
    // The lock of the instance is no lease.
    lease_label(pid, b".lock", |label| label.dir.is_some()).ok()??.dir
}

/// Returns the label of a lock file that a process has open and whose path ends like this. Fails if
/// its files are hidden.
fn lease_label(
    pid: u32,
    path_end: &[u8],
    accept: impl Fn(&LeaseLabel) -> bool,
) -> io::Result<Option<LeaseLabel>> {
    let files = std::fs::read_dir(format!("/proc/{pid}/fd"))?;
    for file in files.flatten().take(MOST_FILES) {
        let Ok(target) = std::fs::read_link(file.path()) else { continue };
        let bytes = target.as_os_str().as_encoded_bytes();
        // Opening other file types can have effects.
        let plain = || std::fs::metadata(file.path()).is_ok_and(|found| found.is_file());
        if bytes.ends_with(path_end)
            && plain()
            && let Ok(open) = open_linked(&file.path())
            && let Some(label) = lease::label_of(&open, pid).filter(&accept)
        {
            return Ok(Some(label));
        }
    }
    Ok(None)
}
