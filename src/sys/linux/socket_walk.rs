//! Finds the processes that have sockets open, by scanning the open files of all processes
//! (`proc_pid_fd(5)`). The cost is the kernel's: about two microseconds per visible open file.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CStr;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::fs::{Mode, OFlags, RawDir};

use super::process_list::processes;
use crate::sync::lock_unpoisoned;
use crate::sys::process_stat::ancestors;

/// More threads gain little, because of kernel locks.
const MOST_WALKERS: usize = 4;

/// Starting a thread costs about as much as scanning a few processes.
const WORTH_A_THREAD: usize = 32;

/// Returns all processes that have one of these sockets open, except hidden ones.
pub(crate) fn pids_by_socket(sockets: &BTreeSet<u64>) -> BTreeMap<u64, Vec<u32>> {
    scan_processes(sockets, &|_| false)
}

/// Returns one process for each of these sockets, and its ancestors that have it too. Starts with
/// the newest processes, because an unexpected holder is seldom old.
pub(crate) fn first_pids_by_socket(sockets: &BTreeSet<u64>) -> BTreeMap<u64, Vec<u32>> {
    let missing = Mutex::new(sockets.clone());
    let mut found = scan_processes(sockets, &|held| {
        let mut missing = lock_unpoisoned(&missing);
        missing.retain(|socket| !held.contains(socket));
        missing.is_empty()
    });
    for (socket, pids) in &mut found {
        let first = pids.first().copied();
        let only = BTreeSet::from([*socket]);
        let above = first.into_iter().flat_map(ancestors).map(|(pid, _)| pid);
        let has_it = |pid: &u32| sockets_of(*pid, &only).is_ok_and(|held| !held.is_empty());
        pids.extend(above.filter(has_it));
        pids.sort_unstable();
        pids.dedup();
    }
    found
}

/// Scans processes, newest first, until `enough` returns true for the sockets of one of them.
fn scan_processes(
    sockets: &BTreeSet<u64>,
    enough: &(dyn Fn(&BTreeSet<u64>) -> bool + Sync),
) -> BTreeMap<u64, Vec<u32>> {
    if sockets.is_empty() {
        return BTreeMap::new();
    }
    let mut pids = processes();
    pids.sort_unstable_by(|one, other| other.cmp(one));
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let walkers = processors.min(MOST_WALKERS).min(pids.len() / WORTH_A_THREAD);
    let (next, done) = (AtomicUsize::new(0), AtomicBool::new(false));
    let walker = || {
        let mut found = Vec::new();
        while let Some(&pid) = pids.get(next.fetch_add(1, Ordering::Relaxed))
            && !done.load(Ordering::Relaxed)
        {
            let held = sockets_of(pid, sockets).unwrap_or_default();
            if !held.is_empty() && enough(&held) {
                done.store(true, Ordering::Relaxed);
            }
            found.extend(held.into_iter().map(|socket| (socket, pid)));
        }
        found
    };
    let mut pairs = std::thread::scope(|scope| {
        // If a thread cannot be started, the others do its work.
        let start = |_| std::thread::Builder::new().spawn_scoped(scope, walker).ok();
        let others: Vec<_> = (1..walkers).filter_map(start).collect();
        let mut pairs = walker();
        pairs.extend(others.into_iter().flat_map(|other| other.join().unwrap_or_default()));
        pairs
    });
    pairs.sort_unstable();
    let mut found: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
    for (socket, pid) in pairs {
        found.entry(socket).or_default().push(pid);
    }
    found
}

/// Returns which of the `wanted` sockets a process has open. A zombie has none. Fails if the
/// process has exited or may not be inspected.
pub(crate) fn sockets_of(pid: u32, wanted: &BTreeSet<u64>) -> io::Result<BTreeSet<u64>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = rustix::fs::open(format!("/proc/{pid}/fd"), flags, Mode::empty())?;
    let mut held = BTreeSet::new();
    let mut buffer = Vec::with_capacity(8 * 1024);
    let mut entries = RawDir::new(&dir, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        if let Some(socket) = socket_behind(&dir, entry?.file_name())
            && wanted.contains(&socket)
        {
            held.insert(socket);
        }
    }
    Ok(held)
}

/// Returns the number in `socket:[123]` if the descriptor is a socket.
fn socket_behind(dir: &OwnedFd, name: &CStr) -> Option<u64> {
    let mut buffer = [std::mem::MaybeUninit::uninit(); 64];
    let (target, _) = rustix::fs::readlinkat_raw(dir, name, &mut buffer).ok()?;
    let digits = target.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::net::TcpListener;
    use std::os::fd::AsRawFd;
    use std::process::{Child, Command, Stdio};

    use rustix::io::{FdFlags, fcntl_setfd};

    use super::{first_pids_by_socket, pids_by_socket, scan_processes};

    fn number(held: &TcpListener) -> u64 {
        let target = std::fs::read_link(format!("/proc/self/fd/{}", held.as_raw_fd())).unwrap();
        let digits = target.to_str().unwrap().trim_start_matches("socket:[");
        digits.trim_end_matches(']').parse().unwrap()
    }

    fn sleeper() -> Child {
        Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap()
    }

    #[test]
    fn both_walks_find_all_holders_of_a_socket() {
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = number(&held);
        fcntl_setfd(&held, FdFlags::empty()).unwrap();
        // The first child inherits the socket, the second does not.
        let mut heir = sleeper();
        fcntl_setfd(&held, FdFlags::CLOEXEC).unwrap();
        let mut other = sleeper();
        let wanted = BTreeSet::from([socket]);
        let both = BTreeSet::from([std::process::id(), heir.id()]);
        let set = |found: BTreeMap<u64, Vec<u32>>| {
            found.into_values().flatten().collect::<BTreeSet<u32>>()
        };
        // Parallel tests fork too, and their children may briefly have the socket.
        let (all, some) = (set(pids_by_socket(&wanted)), set(first_pids_by_socket(&wanted)));
        for child in [&mut heir, &mut other] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert!(all.is_superset(&both) && !all.contains(&other.id()), "{all:?}");
        assert!(some.contains(&std::process::id()) && some.is_subset(&all), "{some:?} of {all:?}");
    }

    #[test]
    fn the_quick_walk_ends_when_all_are_found() {
        let (one, two) = (TcpListener::bind("127.0.0.1:0"), TcpListener::bind("127.0.0.1:0"));
        let (one, two) = (one.unwrap(), two.unwrap());
        let wanted = BTreeSet::from([number(&one), number(&two)]);
        let found = first_pids_by_socket(&wanted);
        assert_eq!(found.keys().copied().collect::<BTreeSet<u64>>(), wanted);
        // A socket without a process does not affect the others.
        let found = first_pids_by_socket(&wanted.iter().copied().chain([u64::MAX]).collect());
        assert_eq!(found.keys().copied().collect::<BTreeSet<u64>>(), wanted);
        assert!(scan_processes(&BTreeSet::from([u64::MAX]), &|_| true).is_empty());
    }
}
