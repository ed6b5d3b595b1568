//! Datagrams with their sender's pid, which the kernel adds and a sender cannot forge.

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
    header.msg_controllen = control.0.len();
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
