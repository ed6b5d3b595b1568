//! TCP sockets from libproc, which shows only those of this user.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, c_int};
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::process_list::processes;
use crate::sys::listening_socket::ListeningSocket;

/// The system's default, if the range cannot be read.
const EPHEMERAL: (u16, u16) = (49_152, 65_535);

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

/// Returns the first and last port that the kernel uses for outgoing connections.
pub(crate) fn ephemeral_range() -> (u16, u16) {
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
    let mut found: Vec<_> = processes().into_iter().flat_map(listeners_of).collect();
    found.retain(|listener| port.is_none_or(|port| listener.address.port() == port));
    found.sort();
    found.dedup();
    Some(found)
}

/// Returns which of these sockets the processes in `tree` have open. Never `None` on macOS.
pub(crate) fn sockets_of_all(tree: &[u32], sockets: &BTreeSet<u64>) -> Option<BTreeSet<u64>> {
    let held = tree.iter().flat_map(|pid| listeners_of(*pid)).map(|held| held.socket);
    Some(held.filter(|socket| sockets.contains(socket)).collect())
}

/// Returns this user if a process of this user is connected from `source` to `destination`. Those of
/// others are hidden.
pub(crate) fn connection_user(source: SocketAddr, destination: SocketAddr) -> Option<u32> {
    let is_it = |pid: u32| {
        let Ok(pid) = c_int::try_from(pid) else { return false };
        descriptors(pid).into_iter().filter_map(|fd| socket_info(pid, fd)).any(|info| {
            info.kind == KIND_TCP
                && info.state != STATE_LISTEN
                && port(info.local_port) == source.port()
                && port(info.foreign_port) == destination.port()
        })
    };
    processes().into_iter().any(is_it).then(|| rustix::process::geteuid().as_raw())
}

/// Unix sockets are not supported here.
pub(crate) fn unix_listeners() -> BTreeMap<u64, String> {
    BTreeMap::new()
}

pub(crate) fn pids_by_socket(sockets: &BTreeSet<u64>) -> BTreeMap<u64, Vec<u32>> {
    let mut found: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
    for pid in processes() {
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

/// Returns the listeners of a process of this user.
pub(crate) fn listeners_of(pid: u32) -> Vec<ListeningSocket> {
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
    // A dual-stack wildcard has both flags.
    let address = if info.version & IPV4 != 0 && info.version & IPV6 == 0 {
        let [.., a, b, c, d] = info.local_address;
        IpAddr::from(Ipv4Addr::new(a, b, c, d))
    } else {
        IpAddr::from(Ipv6Addr::from(info.local_address))
    };
    Some(ListeningSocket {
        address: (address.to_canonical(), port(info.local_port)).into(),
        socket: info.socket,
        uid: None,
    })
}

/// Reads a port, which is in network byte order in the low half of an int.
fn port(number: c_int) -> u16 {
    let [high, low, ..] = number.to_ne_bytes();
    u16::from_be_bytes([high, low])
}
