//! Peers and senders of Unix sockets, as the kernel names them: they cannot be forged.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd};

use crate::sys::notify_sender::NotifySender;

/// Room for the sender's credentials only. The kernel closes passed descriptors that do not fit,
/// which is what the barrier of `sd_notify` waits for.
// SAFETY: only computes.
const CREDENTIALS_SPACE: usize =
    unsafe { libc::CMSG_SPACE(size_of::<libc::ucred>() as u32) } as usize;

/// Aligned for the headers in it.
#[repr(align(8))]
struct CredentialsBuffer([MaybeUninit<u8>; CREDENTIALS_SPACE]);

/// Makes the kernel add credentials to each datagram.
pub(crate) fn enable_credentials(socket: impl AsFd) -> io::Result<()> {
    Ok(rustix::net::sockopt::set_socket_passcred(socket, true)?)
}

/// Receives one datagram, truncated to the buffer. Never blocks.
pub(crate) fn recv_with_sender(
    socket: impl AsFd,
    buffer: &mut [u8],
) -> io::Result<(usize, NotifySender)> {
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let mut control = CredentialsBuffer([MaybeUninit::uninit(); CREDENTIALS_SPACE]);
    // SAFETY: all zeroes are a valid header without parts.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    // The type differs between C libraries.
    header.msg_controllen = control.0.len() as _;
    let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
    // SAFETY: the header points to buffers of the stated length that outlive the call.
    let count = unsafe { libc::recvmsg(socket.as_fd().as_raw_fd(), &mut header, flags) };
    let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
    Ok((count, sender(&header)))
}

fn sender(header: &libc::msghdr) -> NotifySender {
    // SAFETY: the kernel filled the header, and its macros stay within the control buffer.
    unsafe {
        let mut part = libc::CMSG_FIRSTHDR(header);
        while !part.is_null() {
            if ((*part).cmsg_level, (*part).cmsg_type) == (libc::SOL_SOCKET, libc::SCM_CREDENTIALS)
            {
                let data: *const libc::ucred = libc::CMSG_DATA(part).cast();
                let pid = data.read_unaligned().pid;
                // 0 is a process outside of this pid namespace.
                return u32::try_from(pid)
                    .ok()
                    .filter(|pid| *pid > 0)
                    .map_or(NotifySender::Hidden, NotifySender::Pid);
            }
            part = libc::CMSG_NXTHDR(header, part);
        }
    }
    NotifySender::Hidden
}

/// Returns the pid, hidden in another pid namespace, and the user of the process at the other end,
/// from when it connected or started to listen. rustix cannot be used: it rejects pid 0.
pub(crate) fn peer_credentials(socket: impl AsFd) -> Option<(Option<u32>, u32)> {
    let mut peer = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut size = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the socket is open; `peer` has `size` bytes, and any bit pattern is valid for it.
    let code = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut peer).cast(),
            &raw mut size,
        )
    };
    let pid = u32::try_from(peer.pid).ok().filter(|pid| *pid > 0);
    (code == 0).then_some((pid, peer.uid))
}
