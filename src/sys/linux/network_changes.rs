//! Changes of network interfaces and their addresses, from `rtnetlink(7)`.

use std::io;
use std::os::fd::OwnedFd;

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::sys::async_fd::register;

/// `RTMGRP_LINK`, `RTMGRP_IPV4_IFADDR` and `RTMGRP_IPV6_IFADDR`.
const GROUPS: u32 = 1 | 0x10 | 0x100;

/// Tells when interfaces or addresses have changed, and costs nothing in between.
pub(crate) struct NetworkChanges(AsyncFd<OwnedFd>);

impl NetworkChanges {
    /// Must be called within a runtime. What changes from now on is told.
    pub(crate) fn open() -> io::Result<NetworkChanges> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket =
            rustix::net::socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, None)?;
        rustix::net::bind(&socket, &SocketAddrNetlink::new(0, GROUPS))?;
        Ok(NetworkChanges(register(socket, Interest::READABLE)?))
    }

    /// Waits for changes, and takes all that have been told.
    pub(crate) async fn next(&mut self) -> io::Result<()> {
        self.0.async_io(Interest::READABLE, take_all).await
    }
}

/// What has changed does not matter, so messages may be cut, and lost if there are too many.
fn take_all(socket: &OwnedFd) -> io::Result<()> {
    let mut some = false;
    loop {
        match rustix::net::recv(socket, &mut [0_u8; 64][..], RecvFlags::DONTWAIT) {
            Ok(_) | Err(rustix::io::Errno::NOBUFS) => some = true,
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) if some => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}
