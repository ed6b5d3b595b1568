//! Lists TCP sockets over netlink (`sock_diag(7)`). Much cheaper than `/proc/net/tcp`.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::net::netlink::{SOCK_DIAG, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use crate::sys::listening_socket::ListeningSocket;

const HEADER: usize = 16;
/// `struct inet_diag_req_v2`.
const REQUEST: usize = 56;
/// `struct inet_diag_msg`.
const ANSWER: usize = 72;

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_DUMP: u16 = 0x300;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;

/// `1 << TCP_LISTEN`.
const LISTENING: u32 = 1 << 10;

/// `TCP_FIN_WAIT1`, `TCP_FIN_WAIT2`, `TCP_TIME_WAIT`, `TCP_LAST_ACK` and `TCP_CLOSING`.
const CLOSED: u32 = 1 << 4 | 1 << 5 | 1 << 6 | 1 << 9 | 1 << 11;

/// `INET_DIAG_REQ_BYTECODE`: a filter follows the request.
const FILTER: u16 = 1;
/// Filter operations: source port at least, at most.
const AT_LEAST: u8 = 2;
const AT_MOST: u8 = 3;

/// `INET_DIAG_SKV6ONLY`: whether an IPv6 socket rejects IPv4.
const V6_ONLY: u16 = 11;

/// The kernel's limit for one answer of a dump.
const BUFFER: usize = 32 * 1024;

/// At 400 sockets each, more than any machine has listeners.
const MOST_DATAGRAMS: usize = 1_000;

enum DumpStatus {
    More,
    Done,
}

pub fn listeners(port: Option<u16>) -> io::Result<Vec<ListeningSocket>> {
    sockets(LISTENING, port)
}

/// Returns the local ends of connections of this port that are being closed or are in `TIME_WAIT`.
pub fn closed(port: u16) -> io::Result<Vec<ListeningSocket>> {
    sockets(CLOSED, Some(port))
}

/// Returns the user of the socket of this machine that is connected from `source` to `destination`.
pub fn connection_user(source: SocketAddr, destination: SocketAddr) -> io::Result<u32> {
    let socket = open()?;
    let kernel = SocketAddrNetlink::new(0, 0);
    let request = connection_request(source, destination);
    rustix::net::sendto(&socket, &request, SendFlags::empty(), &kernel)?;
    let mut buffer = [0_u8; 1024];
    let length = rustix::net::recv(&socket, &mut buffer, RecvFlags::empty())?.0;
    read_user(&buffer[..length], source.port(), destination.port())
}

fn connection_request(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let family = if source.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let mut bytes = dump_request(family, u32::MAX, None);
    // One socket instead of a dump.
    bytes[6..8].copy_from_slice(&NLM_F_REQUEST.to_ne_bytes());
    let id = &mut bytes[HEADER + 8..];
    for (at, end) in [source, destination].into_iter().enumerate() {
        id[at * 2..][..2].copy_from_slice(&end.port().to_be_bytes());
        let address = &mut id[4 + at * 16..][..16];
        match end.ip() {
            IpAddr::V4(ip) => address[..4].copy_from_slice(&ip.octets()),
            IpAddr::V6(ip) => address.copy_from_slice(&ip.octets()),
        }
    }
    // No cookie: whichever socket has these addresses.
    id[40..48].fill(0xff);
    bytes
}

/// Reads the answer. Without a connection the kernel answers with a listener of the same port.
fn read_user(bytes: &[u8], source: u16, destination: u16) -> io::Result<u32> {
    let length = bytes.first_chunk::<4>().map_or(0, |length| u32::from_ne_bytes(*length)) as usize;
    if length < HEADER || length > bytes.len() {
        return Err(io::Error::other("truncated reply from the kernel"));
    }
    let body = &bytes[HEADER..length];
    match u16::from_ne_bytes([bytes[4], bytes[5]]) {
        NLMSG_ERROR => Err(refusal(body)),
        SOCK_DIAG_BY_FAMILY if body.len() >= ANSWER => {
            let port = |at: usize| u16::from_be_bytes([body[at], body[at + 1]]);
            match (port(4), port(6)) == (source, destination) {
                true => Ok(u32_at(body, 64)),
                false => Err(io::ErrorKind::NotFound.into()),
            }
        }
        _ => Err(io::Error::other("unexpected reply from the kernel")),
    }
}

fn sockets(states: u32, port: Option<u16>) -> io::Result<Vec<ListeningSocket>> {
    let socket = open()?;
    let mut found = Vec::new();
    for family in [AddressFamily::INET, AddressFamily::INET6] {
        dump(&socket, &dump_request(family, states, port), &mut found)?;
    }
    found.retain(|listener| port.is_none_or(|port| listener.address.port() == port));
    found.sort();
    Ok(found)
}

fn open() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC;
    Ok(rustix::net::socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(SOCK_DIAG))?)
}

fn dump(socket: &OwnedFd, request: &[u8], found: &mut Vec<ListeningSocket>) -> io::Result<()> {
    let kernel = SocketAddrNetlink::new(0, 0);
    rustix::net::sendto(socket, request, SendFlags::empty(), &kernel)?;
    let mut buffer = [0_u8; BUFFER];
    for _ in 0..MOST_DATAGRAMS {
        let length = rustix::net::recv(socket, &mut buffer, RecvFlags::empty())?.0;
        match read_datagram(&buffer[..length], found)? {
            DumpStatus::More => {}
            DumpStatus::Done => return Ok(()),
        }
    }
    Err(io::Error::other("the kernel's socket list never ended"))
}

fn dump_request(family: AddressFamily, states: u32, port: Option<u16>) -> Vec<u8> {
    let filter = port.map(filter).unwrap_or_default();
    let length = u32::try_from(HEADER + REQUEST + filter.len()).expect("about 100 bytes");
    let mut bytes = Vec::with_capacity(128);
    bytes.extend(length.to_ne_bytes());
    bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes.extend((NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
    bytes.extend([0; 8]); // sequence, port id
    bytes.push(u8::try_from(family.as_raw()).expect("AF_INET and AF_INET6 are below 256"));
    bytes.push(6); // IPPROTO_TCP
    bytes.extend([0; 2]);
    bytes.extend(states.to_ne_bytes());
    bytes.resize(HEADER + REQUEST, 0); // any address and port: a dump only uses the filter
    bytes.extend(filter);
    bytes
}

/// Builds an attribute with a tiny program: accept when `port <= source port <= port`.
fn filter(port: u16) -> Vec<u8> {
    // Two operations of 8 bytes: code, offset if true, offset if false, then the operand in the
    // same form. A jump to 4 bytes past the end rejects the socket.
    let mut bytes = Vec::new();
    bytes.extend(20_u16.to_ne_bytes());
    bytes.extend(FILTER.to_ne_bytes());
    for (code, refuse) in [(AT_LEAST, 20_u16), (AT_MOST, 12)] {
        bytes.extend([code, 8]);
        bytes.extend(refuse.to_ne_bytes());
        bytes.extend([0, 0]);
        bytes.extend(port.to_ne_bytes());
    }
    bytes
}

fn read_datagram(mut bytes: &[u8], found: &mut Vec<ListeningSocket>) -> io::Result<DumpStatus> {
    while bytes.len() >= HEADER {
        let length = u32_at(bytes, 0) as usize;
        if length < HEADER || length > bytes.len() {
            return Err(io::Error::other("truncated reply from the kernel"));
        }
        let body = &bytes[HEADER..length];
        match u16::from_ne_bytes([bytes[4], bytes[5]]) {
            NLMSG_DONE => return Ok(DumpStatus::Done),
            NLMSG_ERROR => return Err(refusal(body)),
            SOCK_DIAG_BY_FAMILY if body.len() >= ANSWER => {
                found.extend(read_listener(body).per_family(v6_only(&body[ANSWER..])));
            }
            _ => {}
        }
        // Messages are aligned to four bytes.
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(DumpStatus::More)
}

fn refusal(body: &[u8]) -> io::Error {
    match body.first_chunk::<4>().map(|code| i32::from_ne_bytes(*code)) {
        Some(code) if code < 0 => io::Error::from_raw_os_error(code.saturating_neg()),
        Some(_) | None => io::Error::other("unexpected reply from the kernel"),
    }
}

/// `body` has at least `ANSWER` bytes.
fn read_listener(body: &[u8]) -> ListeningSocket {
    let port = u16::from_be_bytes([body[4], body[5]]);
    let address = if i32::from(body[0]) == libc::AF_INET {
        let bytes: [u8; 4] = body[8..12].try_into().expect("four bytes");
        IpAddr::from(Ipv4Addr::from(bytes))
    } else {
        let bytes: [u8; 16] = body[8..24].try_into().expect("sixteen bytes");
        IpAddr::from(Ipv6Addr::from(bytes))
    };
    ListeningSocket {
        address: (address.to_canonical(), port).into(),
        socket: u64::from(u32_at(body, 68)),
        uid: Some(u32_at(body, 64)),
    }
}

/// Reads the attributes after a body. Kernels too old to send this one do not matter.
fn v6_only(mut bytes: &[u8]) -> bool {
    while let Some((length, kind, rest)) = attribute(bytes) {
        if kind == V6_ONLY {
            return rest.first().is_some_and(|value| *value != 0);
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    false
}

/// Returns length and kind of the first attribute, and what follows its header.
fn attribute(bytes: &[u8]) -> Option<(usize, u16, &[u8])> {
    let head = bytes.first_chunk::<4>()?;
    let length = usize::from(u16::from_ne_bytes([head[0], head[1]]));
    let rest = bytes.get(4..length)?;
    Some((length, u16::from_ne_bytes([head[2], head[3]]), rest))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

/// Only whole messages name listeners.
#[cfg(fuzzing)]
pub(crate) fn fuzz(bytes: &[u8]) {
    let mut found = Vec::new();
    let _ = read_datagram(bytes, &mut found);
    // A wildcard of both families counts as two.
    assert!(found.len() <= bytes.len() / (HEADER + ANSWER) * 2);
    assert!(read_user(bytes, 0, 0).is_err() || bytes.len() >= HEADER + ANSWER);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_names_a_listener_of_each_family() {
        for address in ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0", "[::]:0"] {
            let Ok(held) = std::net::TcpListener::bind(address) else { continue };
            let address = held.local_addr().unwrap();
            let on_port = listeners(Some(address.port())).unwrap();
            assert!(on_port.iter().any(|listener| listener.address == address), "{on_port:?}");
            assert!(on_port.iter().all(|listener| listener.address.port() == address.port()));
            assert!(listeners(None).unwrap().iter().any(|listener| listener.address == address));
        }
    }

    #[test]
    fn a_wildcard_of_both_families_counts_as_two() {
        use rustix::net::{AddressFamily, SocketType, bind, getsockname, listen, socket, sockopt};
        for only in [true, false] {
            let Ok(held) = socket(AddressFamily::INET6, SocketType::STREAM, None) else { return };
            sockopt::set_ipv6_v6only(&held, only).unwrap();
            bind(&held, &std::net::SocketAddr::from(([0_u16; 8], 0))).unwrap();
            listen(&held, 1).unwrap();
            let address: std::net::SocketAddr = getsockname(&held).unwrap().try_into().unwrap();
            let found = listeners(Some(address.port())).unwrap();
            assert!(found.iter().any(|found| found.address == address));
            let four = std::net::SocketAddr::from(([0; 4], address.port()));
            assert_eq!(found.iter().any(|found| found.address == four), !only, "{found:?}");
        }
    }

    #[test]
    fn a_bound_socket_that_does_not_listen_is_no_listener() {
        use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};
        let held = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        bind(&held, &std::net::SocketAddr::from(([0, 0, 0, 0], 0))).unwrap();
        let address: std::net::SocketAddr = getsockname(&held).unwrap().try_into().unwrap();
        assert!(
            !listeners(Some(address.port())).unwrap().iter().any(|found| found.address == address)
        );
    }

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(HEADER + body.len()).unwrap();
        [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), &[0; 10], body].concat()
    }

    /// What the kernel answers when there is one listener, and what it says of that.
    fn answer() -> (Vec<u8>, ListeningSocket) {
        let mut body = vec![0; ANSWER];
        body[0] = u8::try_from(libc::AF_INET).unwrap();
        body[4..6].copy_from_slice(&8080_u16.to_be_bytes());
        body[8..12].copy_from_slice(&[127, 0, 0, 1]);
        body[64..68].copy_from_slice(&1000_u32.to_ne_bytes());
        body[68..72].copy_from_slice(&4711_u32.to_ne_bytes());
        let address = "127.0.0.1:8080".parse().unwrap();
        let listener = ListeningSocket { address, socket: 4711, uid: Some(1000) };
        (message(SOCK_DIAG_BY_FAMILY, &body), listener)
    }

    #[test]
    fn a_cut_answer_is_an_error_and_names_no_listener() {
        let (whole, listener) = answer();
        for length in 0..=whole.len() {
            let mut found = Vec::new();
            let status = read_datagram(&whole[..length], &mut found);
            // Less than a header is what stands between messages.
            assert_eq!(status.is_err(), (HEADER..whole.len()).contains(&length), "{length}");
            let expected = if length == whole.len() { vec![listener.clone()] } else { Vec::new() };
            assert_eq!(found, expected, "{length}");
        }
        let mut found = Vec::new();
        let both = [whole, message(NLMSG_DONE, &[0; 4])].concat();
        assert!(matches!(read_datagram(&both, &mut found), Ok(DumpStatus::Done)));
        assert_eq!(found, [listener]);
    }

    #[test]
    fn a_refusal_and_an_impossible_length_are_errors() {
        let error = |bytes: &[u8]| read_datagram(bytes, &mut Vec::new()).err();
        let refused = error(&message(NLMSG_ERROR, &(-libc::EPERM).to_ne_bytes())).unwrap();
        assert_eq!(refused.raw_os_error(), Some(libc::EPERM));
        for odd in [&[][..], &[1], &0_i32.to_ne_bytes(), &libc::EPERM.to_ne_bytes()] {
            assert_eq!(error(&message(NLMSG_ERROR, odd)).unwrap().raw_os_error(), None, "{odd:?}");
        }
        for length in [0, 1, 15_u32, 17, u32::MAX] {
            let mut bytes = message(NLMSG_DONE, &[]);
            bytes[..4].copy_from_slice(&length.to_ne_bytes());
            assert!(error(&bytes).is_some(), "{length}");
        }
    }

    #[test]
    fn a_changed_byte_never_adds_a_listener() {
        let (whole, _) = answer();
        for at in 0..whole.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] = value;
                let mut found = Vec::new();
                let failed = read_datagram(&bytes, &mut found).is_err();
                // A wildcard of both families counts as two.
                assert!(found.len() <= if failed { 0 } else { 2 }, "{at} {value}: {found:?}");
            }
        }
    }
}
