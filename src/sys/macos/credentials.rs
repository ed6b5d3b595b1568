//! Datagrams without their sender, which macOS does not report. It must suffice that only this user
//! can reach the socket, and that only the service gets its path.

use std::io;
use std::os::fd::AsFd;

use rustix::net::RecvFlags;

use crate::sys::notify_sender::NotifySender;

/// Does nothing on macOS.
pub(crate) fn enable_credentials(_socket: impl AsFd) -> io::Result<()> {
    Ok(())
}

/// Receives one datagram, truncated to the buffer. Never blocks.
pub(crate) fn recv_with_sender(
    socket: impl AsFd,
    buffer: &mut [u8],
) -> io::Result<(usize, NotifySender)> {
    let (count, _) = rustix::net::recv(socket, buffer, RecvFlags::DONTWAIT)?;
    Ok((count, NotifySender::Unknown))
}
