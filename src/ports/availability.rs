//! Checks whether a port can be bound, by binding it. Never connects.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use crate::model::accepts;

/// The result of trying to bind a port.
#[derive(Debug)]
pub enum PortAvailability {
    /// It can be bound on all relevant addresses.
    Free,
    InUse,
    /// This user may not bind it.
    Denied,
    /// The attempt itself failed, for example because there are too many open files.
    Failed(io::Error),
}

/// Where a port must be free for a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BindScope {
    /// On loopback and on all interfaces, in both families: `localhost` may mean either.
    Everywhere,
    /// On this address. Only listeners there and on all interfaces are in the way.
    Address(IpAddr),
}

impl BindScope {
    /// Returns the scope of a service that is told to bind `host`.
    pub fn of(host: &str) -> BindScope {
        match host.parse::<IpAddr>() {
            Ok(ip) if ip.is_unspecified() => BindScope::Everywhere,
            Ok(ip) if ip == Ipv4Addr::LOCALHOST || ip == Ipv6Addr::LOCALHOST => {
                BindScope::Everywhere
            }
            Ok(ip) => BindScope::Address(ip),
            Err(_) => BindScope::Everywhere,
        }
    }

    /// Whether a listener at `address` can be in the way.
    pub fn includes(self, address: IpAddr) -> bool {
        match self {
            BindScope::Everywhere => true,
            BindScope::Address(ip) => accepts(&[address], ip),
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct BindAttempt {
    pub address: BindAddress,
    /// Whether to listen as well. On Linux, only that detects sockets that share addresses; on
    /// macOS, it would trigger the firewall prompt.
    pub listen: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    target_os = "linux",
    expect(dead_code, reason = "Linux needs two of them, macOS the others")
)]
pub(super) enum BindAddress {
    /// `[::]` for both families at once.
    Both,
    /// `0.0.0.0`.
    Wildcard4,
    /// `[::]` without IPv4.
    Wildcard6,
    /// `127.0.0.1`.
    Loopback4,
    /// `::1`.
    Loopback6,
    One(IpAddr),
}

impl BindAddress {
    fn with(self, port: u16) -> SocketAddr {
        match self {
            BindAddress::Both | BindAddress::Wildcard6 => (Ipv6Addr::UNSPECIFIED, port).into(),
            BindAddress::Wildcard4 => (Ipv4Addr::UNSPECIFIED, port).into(),
            BindAddress::Loopback4 => (Ipv4Addr::LOCALHOST, port).into(),
            BindAddress::Loopback6 => (Ipv6Addr::LOCALHOST, port).into(),
            BindAddress::One(address) => (address, port).into(),
        }
    }
}

/// Probes the addresses of a scope. Recently closed connections (TIME_WAIT) and sockets
/// that are bound but not listening are ignored.
pub fn availability(port: u16, scope: BindScope) -> PortAvailability {
    super::holders::probe(port, scope)
}

/// Whether nothing listens on `port` and closed connections keep it for a while, a minute on Linux:
/// from programs that bind without `SO_REUSEADDR`, and on Linux from all if their server did.
pub fn is_in_time_wait(port: u16) -> bool {
    super::holders::is_in_time_wait(port)
}

/// Whether no program can bind `port` without `SO_REUSEADDR`. Takes microseconds.
#[cfg(not(target_os = "linux"))]
pub(super) fn refuses_careless_bind(port: u16) -> bool {
    let careless = |address: BindAddress| {
        let address = address.with(port);
        let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
        let socket = open(family)?;
        if address.is_ipv6() {
            sockopt::set_ipv6_v6only(&socket, true)?;
        }
        rustix::net::bind(&socket, &address)
    };
    [BindAddress::Wildcard4, BindAddress::Wildcard6]
        .into_iter()
        .any(|address| careless(address) == Err(Errno::ADDRINUSE))
}

/// Binds and closes again. `None` if this machine does not have the address.
pub(super) fn try_bind(trial: BindAttempt, port: u16) -> Option<PortAvailability> {
    match bind(trial, port) {
        Ok(()) => Some(PortAvailability::Free),
        Err(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL) => None,
        Err(Errno::ADDRINUSE) => Some(PortAvailability::InUse),
        Err(Errno::ACCESS | Errno::PERM) => Some(PortAvailability::Denied),
        Err(other) => Some(PortAvailability::Failed(other.into())),
    }
}

fn bind(trial: BindAttempt, port: u16) -> Result<(), Errno> {
    let socket = bind_reusable(trial.address, port)?;
    if trial.listen {
        rustix::net::listen(&socket, 1)?;
    }
    Ok(())
}

/// Binds a socket the way servers do.
pub(super) fn bind_reusable(address: BindAddress, port: u16) -> Result<OwnedFd, Errno> {
    bind_server(address.with(port), address == BindAddress::Both)
}

/// The same at an address; `both`: `[::]` accepts IPv4 too.
pub(super) fn bind_server(address: SocketAddr, both: bool) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let socket = open(family)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, !both)?;
    }
    rustix::net::bind(&socket, &address)?;
    Ok(socket)
}

#[cfg(target_os = "linux")]
pub(super) fn open(family: AddressFamily) -> Result<OwnedFd, Errno> {
    rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn open(family: AddressFamily) -> Result<OwnedFd, Errno> {
    let socket = rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::empty(), None)?;
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    Ok(socket)
}
