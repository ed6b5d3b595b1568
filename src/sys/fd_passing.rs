//! Descriptors that go along with bytes on a Unix socket.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};

use super::process;

/// Of one message: stdout, stderr and 64 sockets of a service.
pub(crate) const MAX_PASSED_FDS: usize = 66;

/// What one call has received.
pub(crate) struct ReceivedFds {
    /// How many bytes; 0 at the end.
    pub count: usize,
    /// The descriptors beside them, if there were any. Fewer may have arrived at the limit of open
    /// files.
    pub fds: Option<Vec<OwnedFd>>,
}

/// Sends the start of `bytes`, with the descriptors beside its first byte. Returns how many bytes.
pub(crate) fn send_with_fds(
    socket: impl AsFd,
    bytes: &[u8],
    fds: &[BorrowedFd<'_>],
    flags: SendFlags,
) -> Result<usize, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_PASSED_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(Errno::INVAL);
    }
    // Rust programs ignore SIGPIPE: a receiver that is gone is an error here.
    rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut control, flags)
}

/// Receives bytes, and descriptors that programs started later do not inherit.
pub(crate) fn receive_with_fds(socket: impl AsFd, bytes: &mut [u8]) -> Result<ReceivedFds, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_PASSED_FDS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(bytes)];
    let message = rustix::net::recvmsg(socket, &mut parts, &mut control, process::RECV_FLAGS)?;
    let is_cut = message.flags.contains(ReturnFlags::CTRUNC);
    let mut fds: Option<Vec<OwnedFd>> = is_cut.then(Vec::new);
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.get_or_insert_default().extend(rights);
        }
    }
    fds.iter().flatten().for_each(|fd| process::close_on_exec(fd.as_fd()));
    Ok(ReceivedFds { count: message.bytes, fds })
}
