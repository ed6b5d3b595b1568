//! macOS: sockets and processes from libproc, which shows only those of this user.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, c_int};
use std::mem::{MaybeUninit, size_of};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::ancestry::AncestorInfo;
use super::holder::HolderProcess;
use crate::ports::availability::{BindAddress, BindAttempt, PortAvailability, try_bind};
use crate::ports::{LeaseOwner, ListenerOwner, ListeningSocket, PortHolder};

/// The system's default, if the range cannot be read.
const EPHEMERAL: (u16, u16) = (49_152, 65_535);

/// A wildcard and a loopback address can be bound side by side, so each is tried separately.
const ADDRESSES: [BindAddress; 4] = [
    BindAddress::Loopback4,
    BindAddress::Loopback6,
    BindAddress::Wildcard4,
    BindAddress::Wildcard6,
];

const LONGEST_COMMAND_LINE: usize = 64 * 1024;

/// `PROC_PIDFDSOCKETINFO`, `SOCKINFO_TCP`, `TCPS_LISTEN`, `INI_IPV4` and `INI_IPV6` from
/// `sys/proc_info.h` and `netinet/tcp_fsm.h`.
const SOCKET_INFO: c_int = 3;
const KIND_TCP: c_int = 2;
const STATE_LISTEN: c_int = 1;
const IPV4: u8 = 1;
const IPV6: u8 = 2;

/// `struct socket_fdinfo`; unused fields are bytes.
#[repr(C)]
struct SocketFdInfo {
    file: [u64; 3],
    stat: [u64; 17],
    socket: u64,
    pcb: u64,
    kind_of_socket: [c_int; 3],
    options: [u16; 8],
    oobmark: u32,
    buffers: [[u32; 6]; 2],
    kind: c_int,
    reserved: u32,
    foreign_port: c_int,
    local_port: c_int,
    generation: u64,
    flags: [u32; 2],
    version: u8,
    ttl: u8,
    reserved_too: u32,
    foreign_address: [u8; 16],
    local_address: [u8; 16],
    by_version: [u32; 4],
    state: c_int,
    rest_of_union: [u8; 444],
}

// The size of the structure on every 64-bit macOS.
const _: () = assert!(size_of::<SocketFdInfo>() == 792);

pub(crate) fn probe(port: u16) -> PortAvailability {
    let mut found = PortAvailability::Free;
    for address in ADDRESSES {
        match try_bind(BindAttempt { address, listen: false }, port) {
            None | Some(PortAvailability::Free) => {}
            Some(PortAvailability::InUse) => return PortAvailability::InUse,
            Some(other @ (PortAvailability::Denied | PortAvailability::Failed(_))) => found = other,
        }
    }
    found
}

/// Not possible: on macOS, a socket that is only bound blocks all listeners.
pub(crate) fn hold(_port: u16) -> Option<std::os::fd::OwnedFd> {
    None
}

pub(crate) fn ephemeral() -> (u16, u16) {
    let read = || {
        let first = number(c"net.inet.ip.portrange.first")?;
        let last = number(c"net.inet.ip.portrange.last")?;
        Some((u16::try_from(first).ok()?, u16::try_from(last).ok()?))
    };
    read().unwrap_or(EPHEMERAL)
}

fn number(name: &CStr) -> Option<c_int> {
    let mut value: c_int = 0;
    let mut size = size_of::<c_int>();
    let null = std::ptr::null_mut();
    // SAFETY: `name` is NUL-terminated; `value` and `size` describe a C int, as these settings are.
    let code = unsafe {
        libc::sysctlbyname(name.as_ptr(), (&raw mut value).cast(), &raw mut size, null, 0)
    };
    (code == 0 && size == size_of::<c_int>()).then_some(value)
}

/// Returns all listeners of this user's processes. Others are hidden.
pub(crate) fn listeners(port: Option<u16>) -> Option<Vec<ListeningSocket>> {
    let mut found: Vec<_> = pids().into_iter().flat_map(listeners_of).collect();
    found.retain(|listener| port.is_none_or(|port| listener.address.port() == port));
    found.sort();
    found.dedup();
    Some(found)
}

/// Not supported: macOS has no names that disappear with their process.
pub(crate) fn announce(_port: u16) -> Result<Option<OwnedFd>, std::convert::Infallible> {
    Ok(None)
}

/// Always `None`, because macOS has no announcements.
pub(crate) fn announcer(_port: u16) -> Option<LeaseOwner> {
    None
}

/// Never returns `NotListening`, because sockets of other users are hidden.
pub(crate) fn listener_owner(port: u16, tree: &[u32]) -> ListenerOwner {
    let ours: Vec<ListeningSocket> = (tree.iter().flat_map(|pid| listeners_of(*pid)))
        .filter(|listener| listener.address.port() == port)
        .collect();
    let sockets: BTreeSet<u64> = ours.iter().map(|listener| listener.socket).collect();
    let stranger = |found: &ListeningSocket| {
        found.address.port() == port
            && !sockets.contains(&found.socket)
            && (sockets.is_empty() || found.is_reachable_locally())
    };
    let listens = |pid: u32| listeners_of(pid).iter().any(stranger);
    let ours: BTreeSet<_> = ours.iter().map(|listener| listener.address).collect();
    let ours: Vec<_> = ours.into_iter().collect();
    match pids().into_iter().find(|pid| listens(*pid)).and_then(process) {
        Some(process) if ours.is_empty() => ListenerOwner::Foreign(PortHolder::of(&process)),
        Some(process) => ListenerOwner::Shared(ours, PortHolder::of(&process)),
        None if ours.is_empty() => ListenerOwner::Unknown,
        None => ListenerOwner::Ours(ours),
    }
}

/// Returns which of these sockets the processes in `tree` have open. Never `None` on macOS.
pub(crate) fn sockets_of_all(tree: &[u32], sockets: &BTreeSet<u64>) -> Option<BTreeSet<u64>> {
    let held = tree.iter().flat_map(|pid| listeners_of(*pid)).map(|held| held.socket);
    Some(held.filter(|socket| sockets.contains(socket)).collect())
}

/// Unix sockets are not supported here.
pub(crate) fn unix_listeners() -> BTreeMap<u64, String> {
    BTreeMap::new()
}

pub(crate) fn pids_by_socket(sockets: &BTreeSet<u64>) -> BTreeMap<u64, Vec<u32>> {
    let mut found: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
    for pid in pids() {
        let held: BTreeSet<u64> = listeners_of(pid).iter().map(|held| held.socket).collect();
        for socket in held.intersection(sockets) {
            found.entry(*socket).or_default().push(pid);
        }
    }
    found
}

/// The same as [`pids_by_socket`], because stopping early gains nothing here.
pub(crate) fn first_pids_by_socket(sockets: &BTreeSet<u64>) -> BTreeMap<u64, Vec<u32>> {
    pids_by_socket(sockets)
}

fn pids() -> Vec<u32> {
    // SAFETY: without a buffer nothing is written; the result is the number of processes.
    let count = unsafe { libc::proc_listallpids(std::ptr::null_mut(), 0) };
    // Leave room for processes that start in between.
    let mut pids = vec![0_i32; usize::try_from(count).unwrap_or(0) + 64];
    let size = c_int::try_from(size_of_val(pids.as_slice())).unwrap_or(c_int::MAX);
    // SAFETY: the buffer has `size` bytes.
    let count = unsafe { libc::proc_listallpids(pids.as_mut_ptr().cast(), size) };
    pids.truncate(usize::try_from(count).unwrap_or(0));
    pids.into_iter().filter_map(|pid| u32::try_from(pid).ok()).collect()
}

fn listeners_of(pid: u32) -> Vec<ListeningSocket> {
    let Ok(pid) = c_int::try_from(pid) else { return Vec::new() };
    let files = descriptors(pid);
    let found = files.into_iter().filter_map(|fd| {
        let info = socket_info(pid, fd)?;
        Some(read_listener(&info)?.per_family(info.version & IPV4 == 0))
    });
    found.flatten().collect()
}

fn descriptors(pid: c_int) -> Vec<c_int> {
    let each = size_of::<libc::proc_fdinfo>();
    // SAFETY: without a buffer nothing is written; the result is the size needed.
    let size =
        unsafe { libc::proc_pidinfo(pid, libc::PROC_PIDLISTFDS, 0, std::ptr::null_mut(), 0) };
    let room = usize::try_from(size).unwrap_or(0) / each;
    let mut files: Vec<libc::proc_fdinfo> = Vec::with_capacity(room);
    // SAFETY: the buffer has room for `size` bytes.
    let size = unsafe {
        libc::proc_pidinfo(pid, libc::PROC_PIDLISTFDS, 0, files.as_mut_ptr().cast(), size)
    };
    let count = usize::try_from(size).unwrap_or(0) / each;
    // SAFETY: the kernel wrote `count` entries, at most as many as the buffer has room for.
    unsafe { files.set_len(count.min(room)) };
    let socket = |file: &libc::proc_fdinfo| {
        c_int::try_from(file.proc_fdtype) == Ok(libc::PROX_FDTYPE_SOCKET)
    };
    files.iter().filter(|file| socket(file)).map(|file| file.proc_fd).collect()
}

fn socket_info(pid: c_int, fd: c_int) -> Option<SocketFdInfo> {
    let mut info = MaybeUninit::<SocketFdInfo>::zeroed();
    let size = c_int::try_from(size_of::<SocketFdInfo>()).expect("792 bytes");
    // SAFETY: the buffer has `size` bytes.
    let written =
        unsafe { libc::proc_pidfdinfo(pid, fd, SOCKET_INFO, info.as_mut_ptr().cast(), size) };
    // SAFETY: the structure has only integers, so every bit pattern, zeros included, is valid.
    (written == size).then(|| unsafe { info.assume_init() })
}

fn read_listener(info: &SocketFdInfo) -> Option<ListeningSocket> {
    if info.kind != KIND_TCP || info.state != STATE_LISTEN {
        return None;
    }
    // The port is in network byte order, in the low half of an int.
    let [high, low, ..] = info.local_port.to_ne_bytes();
    let port = u16::from_be_bytes([high, low]);
    // A dual-stack wildcard has both flags.
    let address = if info.version & IPV4 != 0 && info.version & IPV6 == 0 {
        let [.., a, b, c, d] = info.local_address;
        IpAddr::from(Ipv4Addr::new(a, b, c, d))
    } else {
        IpAddr::from(Ipv6Addr::from(info.local_address))
    };
    Some(ListeningSocket {
        address: (address.to_canonical(), port).into(),
        socket: info.socket,
        uid: None,
    })
}

/// `None` if it has exited or belongs to another user.
pub(crate) fn process(pid: u32) -> Option<HolderProcess> {
    let number = c_int::try_from(pid).ok()?;
    let info: libc::proc_bsdinfo = info(number, libc::PROC_PIDTBSDINFO)?;
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(info.pbi_start_tvsec);
    Some(HolderProcess {
        pid,
        name: text(info.pbi_name.map(i8::cast_unsigned).as_slice()),
        parent: info.pbi_ppid,
        words: words(number),
        cwd: folder(number),
        age: SystemTime::now().duration_since(start).ok(),
        uid: info.pbi_uid,
    })
}

/// `None` if it has exited or belongs to another user.
pub(crate) fn ancestor_info(pid: u32) -> Option<AncestorInfo> {
    let info: libc::proc_bsdinfo = info(c_int::try_from(pid).ok()?, libc::PROC_PIDTBSDINFO)?;
    let name = text(info.pbi_comm.map(i8::cast_unsigned).as_slice());
    Some(AncestorInfo { name, parent: info.pbi_ppid, uid: info.pbi_uid })
}

/// Only used for port forwarders of other users, whose listeners are hidden on macOS.
pub(crate) fn named(_name: &str) -> Vec<u32> {
    Vec::new()
}

/// Returns variables from the initial environment of a process, as far as the system shows it.
pub(crate) fn variables<const N: usize>(pid: u32, names: [&str; N]) -> [Option<String>; N] {
    let entries = c_int::try_from(pid).map(|pid| arguments(pid).1).unwrap_or_default();
    names.map(|name| {
        let value = |entry: &String| Some(entry.strip_prefix(name)?.strip_prefix('=')?.to_owned());
        entries.iter().find_map(value)
    })
}

/// macOS has no control groups.
pub(crate) fn control_groups(_pid: Option<u32>) -> Option<String> {
    None
}

/// Open files of other processes are not inspected here.
pub(crate) fn stack_folder(_pid: u32) -> Option<PathBuf> {
    None
}

fn folder(pid: c_int) -> Option<PathBuf> {
    let info: libc::proc_vnodepathinfo = info(pid, libc::PROC_PIDVNODEPATHINFO)?;
    let path: Vec<u8> =
        info.pvi_cdir.vip_path.iter().flatten().map(|c| c.cast_unsigned()).collect();
    Some(PathBuf::from(text(&path))).filter(|path| path.is_absolute())
}

/// Reads one of libproc's structures, all of which have only integers.
fn info<T>(pid: c_int, flavor: c_int) -> Option<T> {
    let mut info = MaybeUninit::<T>::zeroed();
    let size = c_int::try_from(size_of::<T>()).ok()?;
    // SAFETY: the buffer has `size` bytes.
    let written = unsafe { libc::proc_pidinfo(pid, flavor, 0, info.as_mut_ptr().cast(), size) };
    // SAFETY: `T` is a structure of integers (see the two callers), so every bit pattern is valid.
    (written == size).then(|| unsafe { info.assume_init() })
}

fn words(pid: c_int) -> Vec<String> {
    arguments(pid).0
}

/// Returns the arguments and the environment from `KERN_PROCARGS2`: a count, the program's path,
/// zeros, the arguments, then the environment up to an empty entry.
fn arguments(pid: c_int) -> (Vec<String>, Vec<String>) {
    let mut name = [libc::CTL_KERN, libc::KERN_PROCARGS2, pid];
    let mut bytes = vec![0_u8; LONGEST_COMMAND_LINE];
    let mut size = bytes.len();
    let null = std::ptr::null_mut();
    // SAFETY: the name has three parts and the buffer has `size` bytes.
    let code = unsafe {
        libc::sysctl(name.as_mut_ptr(), 3, bytes.as_mut_ptr().cast(), &raw mut size, null, 0)
    };
    if code != 0 {
        return Default::default();
    }
    bytes.truncate(size);
    let Some((count, rest)) = bytes.split_first_chunk::<4>() else { return Default::default() };
    let count = usize::try_from(i32::from_ne_bytes(*count)).unwrap_or(0);
    let mut parts = rest.split(|byte| *byte == 0).skip(1).skip_while(|part| part.is_empty());
    let words = parts.by_ref().take(count).map(text).collect();
    (words, parts.take_while(|part| !part.is_empty()).map(text).collect())
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}
