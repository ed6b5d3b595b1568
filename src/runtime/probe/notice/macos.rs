//! Datagrams without a sender: macOS does not tell who sent one. That only this user can reach the socket,
//! and that only the service is told where it is, has to do.

use std::io;
use std::os::fd::AsFd;

use rustix::net::RecvFlags;

use super::Sender;

/// Nothing can be asked for.
pub(super) fn name_senders(_socket: impl AsFd) -> io::Result<()> {
    Ok(())
}

/// Receives one datagram, cut to the buffer. Never waits.
pub(super) fn receive(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<(usize, Sender)> {
    let (count, _) = rustix::net::recv(socket, buffer, RecvFlags::DONTWAIT)?;
    Ok((count, Sender::Unknown))
}
