//! Linux: port probes and holds, and what announcements, control groups and open files prove.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use super::name_holders;
use crate::ports::announce::PortAnnouncer;
use crate::ports::availability::{
    BindAddress, BindAttempt, PortAvailability, bind_reusable, try_bind,
};
use crate::ports::{LeaseOwner, ListenerOwner, ListeningSocket, announce, lease};
use crate::sys::process;
use crate::sys::sockets::{SocketScan, listeners, sockets_of};

/// How many open files of a process are checked; a devstack with hundreds of services has fewer.
const MOST_FILES: usize = 10_000;

/// One listening dual-stack socket detects every conflict; without IPv6, an IPv4 socket does.
pub(crate) fn probe(port: u16) -> PortAvailability {
    let trial = |address| try_bind(BindAttempt { address, listen: true }, port);
    trial(BindAddress::Both)
        .or_else(|| trial(BindAddress::Wildcard4))
        .unwrap_or_else(|| PortAvailability::Failed(io::Error::other("there is no network")))
}

/// Without `listen`, the socket does not block programs that set `SO_REUSEADDR`, but the kernel
/// still does not pick the port itself.
pub(crate) fn hold(port: u16) -> Option<OwnedFd> {
    bind_reusable(BindAddress::Both, port)
        .or_else(|_| bind_reusable(BindAddress::Wildcard4, port))
        .ok()
}

/// Returns the devstack that announced `port`, if any. Takes up to a millisecond.
pub(crate) fn announcer(port: u16) -> Option<LeaseOwner> {
    let PortAnnouncer { pid, uid } = announce::announcer(port)?;
    Some(LeaseOwner::process(pid, uid, pid.and_then(stack_folder)))
}

pub(crate) use crate::ports::announce::announce;

/// See [`super::listener_owner`].
pub(crate) fn listener_owner(port: u16, tree: &[u32]) -> ListenerOwner {
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
    let (ours, strangers): (Vec<ListeningSocket>, Vec<ListeningSocket>) =
        found.into_iter().partition(|listener| held.contains(&listener.socket));
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

pub(super) fn named(name: &str) -> Vec<u32> {
    let called = |pid: &u32| {
        let text = std::fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
        text.trim_ascii_end() == name.as_bytes()
    };
    process::processes().into_iter().filter(called).collect()
}

/// Returns the control groups of a process in the kernel's format; `None` means this process.
pub(super) fn control_groups(pid: Option<u32>) -> Option<String> {
    let who = pid.map_or("self".to_owned(), |pid| pid.to_string());
    std::fs::read_to_string(format!("/proc/{who}/cgroup")).ok()
}

/// Returns the project directory of a devstack process, from the lock files it has open.
pub(super) fn stack_folder(pid: u32) -> Option<PathBuf> {
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    for file in files.flatten().take(MOST_FILES) {
        let Ok(target) = std::fs::read_link(file.path()) else { continue };
        let bytes = target.as_os_str().as_encoded_bytes();
        // Opening other file types could block.
        let plain = || std::fs::metadata(file.path()).is_ok_and(|found| found.is_file());
        if bytes.ends_with(b".lock")
            && plain()
            && let Ok(open) = std::fs::File::open(file.path())
            && let Some(dir) = lease::project_dir_of(&open, pid)
        {
            return Some(dir);
        }
    }
    None
}
