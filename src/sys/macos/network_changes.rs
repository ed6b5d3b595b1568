//! Changes of network interfaces and their addresses, from `route(4)`.

use std::io;
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::sys::async_fd::register;
use crate::sys::process::close_on_exec;

/// `RTM_NEWADDR`, `RTM_DELADDR` and `RTM_IFINFO` from `net/route.h`. Others are about routes.
const KINDS: std::ops::RangeInclusive<u8> = 0xc..=0xe;

/// Tells when interfaces or addresses have changed, and costs nothing in between.
pub(crate) struct NetworkChanges(AsyncFd<OwnedFd>);

impl NetworkChanges {
    /// Must be called within a runtime. What changes from now on is told.
    pub(crate) fn open() -> io::Result<NetworkChanges> {
        let none = SocketFlags::empty();
        let socket = rustix::net::socket_with(AddressFamily::ROUTE, SocketType::RAW, none, None)?;
        close_on_exec(std::os::fd::AsFd::as_fd(&socket));
        rustix::io::ioctl_fionbio(&socket, true)?;
        Ok(NetworkChanges(register(socket, Interest::READABLE)?))
    }

    /// Waits for changes, and takes all that have been told.
    pub(crate) async fn next(&mut self) -> io::Result<()> {
        self.0.async_io(Interest::READABLE, take_all).await
    }
}

fn take_all(socket: &OwnedFd) -> io::Result<()> {
    let mut some = false;
    // Length, version and kind; the rest of a message does not matter.
    let mut head = [0_u8; 4];
    loop {
        match rustix::net::recv(socket, &mut head[..], RecvFlags::DONTWAIT) {
            Ok(_) => some |= KINDS.contains(&head[3]),
            Err(rustix::io::Errno::NOBUFS) => some = true,
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) if some => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}
