//! Datagrams with the process that sent them: the kernel adds its number, and nobody can forge it.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd};

use super::Sender;

/// Room for the credentials of a sender and nothing else. Descriptors that come along have none, and the kernel
/// closes them: just what the barrier of `sd_notify` waits for.
// SAFETY: only computes.
const ROOM: usize = unsafe { libc::CMSG_SPACE(size_of::<libc::ucred>() as u32) } as usize;

/// Aligned as the headers in it must be.
#[repr(align(8))]
struct Control([MaybeUninit<u8>; ROOM]);

/// Asks for the senders of what arrives.
pub(super) fn name_senders(socket: impl AsFd) -> io::Result<()> {
    Ok(rustix::net::sockopt::set_socket_passcred(socket, true)?)
}

/// Receives one datagram, cut to the buffer. Never waits.
pub(super) fn receive(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<(usize, Sender)> {
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let mut control = Control([MaybeUninit::uninit(); ROOM]);
    // SAFETY: all zeroes are a valid header without any parts.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = control.0.len();
    let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
    // SAFETY: the header points to buffers that are as long as it says and live longer than the call.
    let count = unsafe { libc::recvmsg(socket.as_fd().as_raw_fd(), &mut header, flags) };
    let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
    Ok((count, sender(&header)))
}

fn sender(header: &libc::msghdr) -> Sender {
    // SAFETY: the kernel filled the header, and its macros stay within the control buffer.
    unsafe {
        let mut part = libc::CMSG_FIRSTHDR(header);
        while !part.is_null() {
            if ((*part).cmsg_level, (*part).cmsg_type) == (libc::SOL_SOCKET, libc::SCM_CREDENTIALS)
            {
                let data: *const libc::ucred = libc::CMSG_DATA(part).cast();
                let pid = data.read_unaligned().pid;
                // 0 is a process that cannot be seen from here.
                return u32::try_from(pid)
                    .ok()
                    .filter(|pid| *pid > 0)
                    .map_or(Sender::Hidden, Sender::Pid);
            }
            part = libc::CMSG_NXTHDR(header, part);
        }
    }
    Sender::Hidden
}
