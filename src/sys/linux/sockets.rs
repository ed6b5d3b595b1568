//! TCP and Unix sockets: from `sock_diag`, or from `/proc/net` without it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tracing::debug;

use super::{process_list, sock_diag, socket_walk};
use crate::sys::listening_socket::ListeningSocket;
use crate::sys::signal::process_exists;

pub(crate) use super::socket_walk::{first_pids_by_socket, pids_by_socket};

/// The kernel's default, if the range cannot be read.
const EPHEMERAL: (u16, u16) = (32_768, 60_999);

/// Returns the first and last port that the kernel uses for outgoing connections.
pub(crate) fn ephemeral_range() -> (u16, u16) {
    let read = || {
        let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
        let mut words = text.split_whitespace().map(|word| word.parse().ok());
        Some((words.next()??, words.next()??))
    };
    read().unwrap_or(EPHEMERAL)
}

/// Returns the visible TCP listeners, or those on one port; `None` if the system shows none.
pub(crate) fn listeners(port: Option<u16>) -> Option<Vec<ListeningSocket>> {
    match sock_diag::listeners(port) {
        Ok(found) => Some(found),
        Err(error) => {
            debug!("no sock_diag ({error}), reading /proc/net instead");
            proc_listeners(port)
        }
    }
}

/// Whether connections of a local port are closed but not forgotten (`TIME_WAIT`). False without
/// `sock_diag`.
pub(crate) fn has_closed_connections(port: u16) -> bool {
    sock_diag::closed(port).is_ok_and(|found| !found.is_empty())
}

/// Returns the user of the socket of this machine that is connected from `source` to `destination`;
/// `None` if the system does not show it.
pub(crate) fn connection_user(source: SocketAddr, destination: SocketAddr) -> Option<u32> {
    match sock_diag::connection_user(source, destination) {
        Ok(user) => Some(user),
        // There is none, rather than no `sock_diag`.
        Err(error) if error.raw_os_error().is_none() => None,
        Err(_) => proc_connection_user(source, destination),
    }
}

fn proc_connection_user(source: SocketAddr, destination: SocketAddr) -> Option<u32> {
    let ends = [table_address(source), table_address(destination)];
    // A client that uses IPv6 for IPv4 is in the other table.
    let mapped = |address: SocketAddr| match address.ip() {
        IpAddr::V4(ip) => SocketAddr::from((ip.to_ipv6_mapped(), address.port())),
        IpAddr::V6(_) => address,
    };
    let six = [table_address(mapped(source)), table_address(mapped(destination))];
    let in_table = |table: &str, ends: &[String; 2]| {
        let text = std::fs::read_to_string(table).ok()?;
        text.lines().find_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let found = words.get(1..3)? == ends.as_slice();
            found.then(|| words.get(7)?.parse().ok()).flatten()
        })
    };
    in_table("/proc/net/tcp", &ends).or_else(|| in_table("/proc/net/tcp6", &six))
}

/// Returns an address as these tables have it.
fn table_address(address: SocketAddr) -> String {
    let bytes = match address.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let words = bytes.as_chunks::<4>().0.iter();
    let words: String = words.map(|word| format!("{:08X}", u32::from_ne_bytes(*word))).collect();
    format!("{words}:{:04X}", address.port())
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

pub(crate) enum SocketScan {
    /// Those among the sockets in question. Empty if the process has exited.
    These(BTreeSet<u64>),
    /// The process is alive but may not be inspected.
    Hidden,
}

/// Returns which of the `wanted` sockets a process has open.
pub(crate) fn sockets_of(pid: u32, wanted: &BTreeSet<u64>) -> SocketScan {
    match socket_walk::sockets_of(pid, wanted) {
        Ok(held) => SocketScan::These(held),
        Err(_) if lives(pid) => SocketScan::Hidden,
        Err(_) => SocketScan::These(BTreeSet::new()),
    }
}

/// Whether the process exists and is not a zombie.
fn lives(pid: u32) -> bool {
    process_exists(pid) && process_list::process_stat(pid).is_none_or(|stat| !stat.zombie)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

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
    fn the_user_of_a_connection_is_known_and_that_of_a_listener_is_none() {
        let own = Some(rustix::process::geteuid().as_raw());
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(held) = TcpListener::bind(address) else { continue };
            let at = held.local_addr().unwrap();
            // Also of a client that uses IPv6 for IPv4.
            let mapped: SocketAddr = match at.ip() {
                IpAddr::V4(ip) => (ip.to_ipv6_mapped(), at.port()).into(),
                IpAddr::V6(_) => at,
            };
            for to in [at, mapped] {
                let Ok(client) = TcpStream::connect(to) else { continue };
                let (_accepted, peer) = held.accept().unwrap();
                assert_eq!(connection_user(peer, at), own, "{to}");
                assert_eq!(proc_connection_user(peer, at), own, "{to}");
                drop(client);
            }
            for user in [connection_user, proc_connection_user] {
                assert_eq!(user(at, (at.ip(), 1).into()), None);
            }
        }
    }

    #[test]
    fn unix_listeners_are_known_by_their_names() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("with blank.sock");
        let _held = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let found = unix_listeners();
        assert!(found.values().any(|name| *name == path.display().to_string()), "{found:?}");
        for bad in ["", "Num RefCount", "0: 2 0 00010000 1 1 7", "0: 2 0 00000000 1 1 7 /x"] {
            assert_eq!(read_unix_line(bad), None, "{bad}");
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
