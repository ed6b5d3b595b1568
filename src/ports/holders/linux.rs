//! Linux: sockets from `sock_diag`, processes from `/proc`.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use tracing::debug;

use super::ancestry::AncestorInfo;
use super::holder::HolderProcess;
use super::name_holders;
use crate::ports::announce::PortAnnouncer;
use crate::ports::availability::{
    BindAddress, BindAttempt, PortAvailability, bind_reusable, try_bind,
};
use crate::ports::{LeaseOwner, ListenerOwner, ListeningSocket, announce, lease};
use crate::sys::linux::{sock_diag, socket_walk};

/// The kernel's default, if the range cannot be read.
const EPHEMERAL: (u16, u16) = (32_768, 60_999);

/// More than is ever shown.
const LONGEST_COMMAND_LINE: u64 = 4_096;

/// Linux allows a quarter of the stack size for it, which is usually 8 MiB.
const LARGEST_ENVIRONMENT: u64 = 2 * 1024 * 1024;

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

pub(crate) fn ephemeral() -> (u16, u16) {
    let read = || {
        let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
        let mut words = text.split_whitespace().map(|word| word.parse().ok());
        Some((words.next()??, words.next()??))
    };
    read().unwrap_or(EPHEMERAL)
}

pub(crate) fn listeners(port: Option<u16>) -> Option<Vec<ListeningSocket>> {
    match sock_diag::listeners(port) {
        Ok(found) => Some(found),
        Err(error) => {
            debug!("no sock_diag ({error}), reading /proc/net instead");
            proc_listeners(port)
        }
    }
}

fn proc_listeners(port: Option<u16>) -> Option<Vec<ListeningSocket>> {
    let four = std::fs::read_to_string("/proc/net/tcp");
    let six = std::fs::read_to_string("/proc/net/tcp6");
    if four.is_err() && six.is_err() {
        return None;
    }
    let tables = [four.unwrap_or_default(), six.unwrap_or_default()];
    let lines = tables.iter().flat_map(|table| table.lines().skip(1)).filter_map(read_line);
    // The table does not show which IPv6 sockets are IPv6-only; few are.
    let lines = lines.flat_map(|listener| listener.per_family(false));
    let mut found: Vec<_> =
        lines.filter(|found| port.is_none_or(|port| found.address.port() == port)).collect();
    found.sort();
    Some(found)
}

/// Parses a line of `/proc/net/tcp` or `tcp6`, if it is a listener.
fn read_line(line: &str) -> Option<ListeningSocket> {
    let words: Vec<&str> = line.split_whitespace().collect();
    if *words.get(3)? != "0A" {
        return None;
    }
    let (address, port) = words.get(1)?.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    // The address is written as 32-bit words in native byte order.
    let word = |at: usize| u32::from_str_radix(address.get(at * 8..at * 8 + 8)?, 16).ok();
    let address = if address.len() == 8 {
        IpAddr::from(Ipv4Addr::from(word(0)?.to_ne_bytes()))
    } else {
        let mut bytes = [0; 16];
        for (at, chunk) in bytes.chunks_exact_mut(4).enumerate() {
            chunk.copy_from_slice(&word(at)?.to_ne_bytes());
        }
        IpAddr::from(Ipv6Addr::from(bytes))
    };
    let uid = words.get(7)?.parse().ok();
    let address = (address.to_canonical(), port).into();
    Some(ListeningSocket { address, socket: words.get(9)?.parse().ok()?, uid })
}

/// Returns the devstack that announced `port`, if any. Takes up to a millisecond.
pub(crate) fn announcer(port: u16) -> Option<LeaseOwner> {
    let PortAnnouncer { pid, uid } = announce::announcer(port)?;
    Some(LeaseOwner::process(pid, uid, pid.and_then(stack_folder)))
}

pub(crate) use crate::ports::announce::announce;
pub(crate) use crate::sys::linux::socket_walk::{first_pids_by_socket, pids_by_socket};

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

/// Returns which of these sockets `tree` has open; `None` if none was found and a process is
/// hidden.
pub(crate) fn sockets_of_all(tree: &[u32], sockets: &BTreeSet<u64>) -> Option<BTreeSet<u64>> {
    let (mut held, mut hidden) = (BTreeSet::new(), false);
    for &pid in tree {
        match sockets_of(pid, sockets) {
            SocketScan::These(some) => held.extend(some),
            SocketScan::Hidden => hidden = true,
        }
    }
    (!hidden || !held.is_empty()).then_some(held)
}

/// Returns the Unix sockets that listen, by inode. Abstract names start with `@`.
pub(crate) fn unix_listeners() -> BTreeMap<u64, String> {
    let text = std::fs::read("/proc/net/unix").unwrap_or_default();
    String::from_utf8_lossy(&text).lines().filter_map(read_unix_line).collect()
}

/// Parses a line of `/proc/net/unix`, if it is a listener with a name.
fn read_unix_line(line: &str) -> Option<(u64, String)> {
    const ACCEPTS: u32 = 1 << 16;
    let mut words = line.split_whitespace();
    let flags = u32::from_str_radix(words.nth(3)?, 16).ok()?;
    let socket = words.nth(2)?.parse().ok()?;
    let name = words.collect::<Vec<_>>().join(" ");
    (flags & ACCEPTS != 0 && !name.is_empty()).then_some((socket, name))
}

enum SocketScan {
    /// Those among the sockets in question. Empty if the process has exited.
    These(BTreeSet<u64>),
    /// The process is alive but may not be inspected.
    Hidden,
}

fn sockets_of(pid: u32, wanted: &BTreeSet<u64>) -> SocketScan {
    match socket_walk::sockets_of(pid, wanted) {
        Ok(held) => SocketScan::These(held),
        Err(_) if lives(pid) => SocketScan::Hidden,
        Err(_) => SocketScan::These(BTreeSet::new()),
    }
}

/// Whether the process exists and is not a zombie.
fn lives(pid: u32) -> bool {
    let Some(number) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) else {
        return false;
    };
    match rustix::process::test_kill_process(number) {
        Err(rustix::io::Errno::SRCH) => false,
        Ok(()) | Err(_) => match stat(pid) {
            Some(stat) => !matches!(stat.state, 'Z' | 'X'),
            None => true,
        },
    }
}

pub(super) fn process(pid: u32) -> Option<HolderProcess> {
    let Stat { name, parent, start, .. } = stat(pid)?;
    let uid = std::fs::metadata(format!("/proc/{pid}")).ok()?.uid();
    let folder = std::fs::read_link(format!("/proc/{pid}/cwd")).ok();
    Some(HolderProcess { pid, name, parent, words: words(pid), cwd: folder, age: age(start), uid })
}

pub(super) fn ancestor_info(pid: u32) -> Option<AncestorInfo> {
    let Stat { name, parent, .. } = stat(pid)?;
    let uid = std::fs::metadata(format!("/proc/{pid}")).ok()?.uid();
    Some(AncestorInfo { name, parent, uid })
}

pub(super) fn named(name: &str) -> Vec<u32> {
    let called = |pid: &u32| {
        let text = std::fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
        text.trim_ascii_end() == name.as_bytes()
    };
    socket_walk::pids().into_iter().filter(called).collect()
}

/// Returns variables from the initial environment of a process, as far as this user may read it.
pub(super) fn variables<const N: usize>(pid: u32, names: [&str; N]) -> [Option<String>; N] {
    let mut bytes = Vec::new();
    if let Ok(file) = std::fs::File::open(format!("/proc/{pid}/environ")) {
        io::Read::read_to_end(&mut io::Read::take(file, LARGEST_ENVIRONMENT), &mut bytes).ok();
    }
    names.map(|name| {
        let value = |entry: &[u8]| {
            let value = entry.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
            Some(String::from_utf8_lossy(value).into_owned())
        };
        bytes.split(|byte| *byte == 0).find_map(value)
    })
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
            && let Some(folder) = lease::project_dir_of(&open, pid)
        {
            return Some(folder);
        }
    }
    None
}

fn words(pid: u32) -> Vec<String> {
    let mut bytes = Vec::new();
    if let Ok(file) = std::fs::File::open(format!("/proc/{pid}/cmdline")) {
        io::Read::read_to_end(&mut io::Read::take(file, LONGEST_COMMAND_LINE), &mut bytes).ok();
    }
    let words = bytes.split(|byte| *byte == 0).filter(|word| !word.is_empty());
    words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

struct Stat {
    name: String,
    state: char,
    parent: u32,
    /// In clock ticks since boot.
    start: u64,
}

fn stat(pid: u32) -> Option<Stat> {
    let text = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    read_stat(&String::from_utf8_lossy(&text))
}

/// The name is in parentheses and may itself contain parentheses and blanks.
fn read_stat(text: &str) -> Option<Stat> {
    let (_, rest) = text.split_once('(')?;
    let (name, rest) = rest.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?.chars().next()?;
    // State is field 3, start time field 22.
    let parent = fields.next()?.parse().ok()?;
    let start = fields.nth(17)?.parse().ok()?;
    Some(Stat { name: name.to_owned(), state, parent, start })
}

fn age(start: u64) -> Option<Duration> {
    // SAFETY: takes no pointers.
    let ticks = u64::try_from(unsafe { libc::sysconf(libc::_SC_CLK_TCK) }).ok()?;
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a timespec that outlives the call.
    if unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut now) } != 0 {
        return None;
    }
    let now = u64::try_from(now.tv_sec).ok()?;
    Some(Duration::from_secs(now.saturating_sub(start.checked_div(ticks)?)))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use crate::ports::holders::system::{
        ListeningSocket, listeners, proc_listeners, read_line, read_stat,
    };

    #[test]
    fn proc_net_and_sock_diag_say_the_same() {
        for address in ["127.0.0.1:0", "[::1]:0", "[::]:0"] {
            let Ok(held) = TcpListener::bind(address) else { continue };
            let address = held.local_addr().unwrap();
            let port = Some(address.port());
            let here = |found: Vec<ListeningSocket>| {
                found.into_iter().find(|found| found.address == address)
            };
            let proc_net = here(proc_listeners(port).unwrap());
            assert_eq!(proc_net, here(listeners(port).unwrap()));
            assert!(proc_net.is_some());
        }
    }

    #[test]
    fn names_with_parentheses_do_not_confuse() {
        let text = format!("12 (a) (b) c) S {} 777 0", ["0"; 18].join(" "));
        let stat = read_stat(&text).unwrap();
        assert_eq!((stat.name.as_str(), stat.state, stat.start), ("a) (b) c", 'S', 777));
        assert_eq!(stat.parent, 0);
        for bad in ["", "1", "1 (", "1 (x", "1 (x)", "1 (x) S", "1 (x) S 1 2"] {
            assert!(read_stat(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn unix_listeners_are_known_by_their_names() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("with blank.sock");
        let _held = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let found = crate::ports::holders::system::unix_listeners();
        assert!(found.values().any(|name| *name == path.display().to_string()), "{found:?}");
        for bad in ["", "Num RefCount", "0: 2 0 00010000 1 1 7", "0: 2 0 00000000 1 1 7 /x"] {
            assert_eq!(crate::ports::holders::system::read_unix_line(bad), None, "{bad}");
        }
    }

    #[test]
    fn broken_lines_are_skipped() {
        for bad in [
            "",
            "x",
            "0: zz:1F90 0 0A",
            "0: 0100007F:1F90 00000000:0000 0A x x x x x x",
            "0: ä:1 0 0A",
        ] {
            assert_eq!(read_line(bad), None, "{bad}");
        }
    }
}
