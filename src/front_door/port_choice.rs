//! Which port the front door has, before it is started.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use super::door_files::{DoorFiles, read_label};
use crate::model::ProxyPlace;
use crate::regular_file::open_lock;

/// How many numbers are tried.
const TRIES: u16 = 100;

/// How many connections may wait to be accepted. The system may allow fewer.
const BACKLOG: i32 = 4096;

/// A port, and which one it should have been.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DoorPort {
    pub port: u16,
    /// The usual port, which something else has.
    pub taken: Option<u16>,
}

/// Returns the port of the front door that lives, or else the first free one. `None`: there is none.
///
/// # Errors
/// The system's, if the files cannot be used.
pub(super) fn choose_port(files: &DoorFiles) -> io::Result<Option<DoorPort>> {
    if let Some(port) = port_of_live_door(files)? {
        return Ok(Some(DoorPort { port, taken: None }));
    }
    // Two starts must not find each other's attempts.
    let choice = open_lock(&files.choice(), true)?;
    choice.lock()?;
    Ok(first_free(ProxyPlace::USUAL_PORT, |port| bind(port).is_ok()))
}

fn port_of_live_door(files: &DoorFiles) -> io::Result<Option<u16>> {
    let lock = open_lock(&files.lock(), true)?;
    match lock.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(std::fs::TryLockError::WouldBlock) => Ok(read_label(&lock).trim().parse().ok()),
        Err(std::fs::TryLockError::Error(error)) => Err(error),
    }
}

fn first_free(usual: u16, is_free: impl Fn(u16) -> bool) -> Option<DoorPort> {
    let port = (usual..usual + TRIES).find(|port| is_free(*port))?;
    Some(DoorPort { port, taken: (port != usual).then_some(usual) })
}

/// Listens on a port of both loopback addresses, or only of IPv4 on a machine without IPv6.
///
/// # Errors
/// The port is in use, or not allowed.
pub(super) fn bind(port: u16) -> io::Result<Vec<TcpListener>> {
    let mut bound = vec![TcpListener::bind((Ipv4Addr::LOCALHOST, port))?];
    match TcpListener::bind(SocketAddr::from((Ipv6Addr::LOCALHOST, port))) {
        Ok(listener) => bound.push(listener),
        Err(error) if is_missing_family(&error) => {}
        Err(error) => return Err(error),
    }
    for listener in &bound {
        // Again, because the standard library does not let others choose.
        rustix::net::listen(listener, BACKLOG)?;
    }
    Ok(bound)
}

fn is_missing_family(error: &io::Error) -> bool {
    let missing = [libc::EADDRNOTAVAIL, libc::EAFNOSUPPORT];
    error.raw_os_error().is_some_and(|number| missing.contains(&number))
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_os = "linux")]
    use std::net::TcpStream;

    #[test]
    fn the_next_free_port_is_used_and_said() {
        let choice = |taken: &[u16]| first_free(7780, |port| !taken.contains(&port));
        assert_eq!(choice(&[]), Some(DoorPort { port: 7780, taken: None }));
        let moved = DoorPort { port: 7782, taken: Some(7780) };
        assert_eq!(choice(&[7780, 7781]), Some(moved));
        assert_eq!(first_free(7780, |_| false), None);
    }

    /// What the kernel does not take, it makes wait for a second.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_burst_of_connections_is_taken_before_any_is_accepted() {
        let limit = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap();
        let burst = limit.trim().parse().unwrap_or(128).min(400);
        let listeners = bind(0).unwrap();
        let address = listeners[0].local_addr().unwrap();
        let connect = || {
            let socket = rustix::net::socket_with(
                rustix::net::AddressFamily::INET,
                rustix::net::SocketType::STREAM,
                rustix::net::SocketFlags::NONBLOCK,
                None,
            );
            let socket = socket.unwrap();
            // Over loopback a connection is there at once, or not at all.
            let _ = rustix::net::connect(&socket, &address);
            TcpStream::from(socket)
        };
        let clients: Vec<TcpStream> = (0..burst).map(|_| connect()).collect();
        let refused = clients.iter().filter(|client| client.peer_addr().is_err()).count();
        assert_eq!(refused, 0, "of {burst}");
    }

    #[test]
    fn the_port_of_a_live_door_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let files = DoorFiles::below(dir.path());
        let lock = open_lock(&files.lock(), true).unwrap();
        crate::front_door::door_files::write_label(&lock, "8123\n").unwrap();
        assert_eq!(port_of_live_door(&files).unwrap(), None);
        lock.lock().unwrap();
        assert_eq!(choose_port(&files).unwrap(), Some(DoorPort { port: 8123, taken: None }));
    }
}
