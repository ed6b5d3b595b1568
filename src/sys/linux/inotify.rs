use std::collections::BTreeSet;
use std::fs;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};

use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
    sendmsg, socketpair,
};

/// Lets the kernel close an inotify instance in the background.
///
/// The last close of an instance waits 5 to 50 ms for readers of kernel structures, in the process
/// that closes or exits. So one more reference lies in the queue of a socket that is itself in its
/// own queue. Once this value and all other references are gone, by whatever end, that socket is an
/// unreachable cycle, which a worker thread of the kernel collects (Linux 6.9; earlier kernels
/// collect it at once, which costs what it did).
pub(crate) struct BackgroundClose {
    _sender: OwnedFd,
}

impl BackgroundClose {
    /// Calls `open`, and prepares the end of the inotify instance that it has opened. `None` if it
    /// cannot be told which one that is, or the system refuses.
    pub(crate) fn of_inotify<T>(open: impl FnOnce() -> T) -> (T, Option<BackgroundClose>) {
        let before = inotify_fds();
        let opened = open();
        let new: Vec<RawFd> = inotify_fds().difference(&before).copied().collect();
        let close = match new[..] {
            // SAFETY: it was opened a moment ago and belongs to `opened`, which lives.
            [fd] => BackgroundClose::of(unsafe { BorrowedFd::borrow_raw(fd) }).ok(),
            _ => None,
        };
        (opened, close)
    }

    fn of(fd: BorrowedFd) -> rustix::io::Result<BackgroundClose> {
        let (sender, receiver) =
            socketpair(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
        let fds = [fd, receiver.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&fds));
        sendmsg(&sender, &[IoSlice::new(&[0])], &mut control, SendFlags::NOSIGNAL)?;
        Ok(BackgroundClose { _sender: sender })
    }
}

/// The open inotify instances of this process.
fn inotify_fds() -> BTreeSet<RawFd> {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else { return BTreeSet::new() };
    let fds = entries.flatten().filter(|entry| {
        fs::read_link(entry.path()).is_ok_and(|to| to.as_os_str() == "anon_inode:inotify")
    });
    fds.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::io::{PipeReader, Read, pipe};

    use super::*;

    #[test]
    fn the_kernel_closes_the_last_reference() {
        let (mut reader, writer): (PipeReader, _) = pipe().expect("a pipe");
        let close = BackgroundClose::of(writer.as_fd()).expect("sockets can be sent");
        drop(writer);
        drop(close);
        // The end of the pipe is seen only if nothing refers to its writer.
        assert_eq!(reader.read(&mut [0]).expect("readable"), 0);
    }

    #[test]
    fn the_reference_holds_until_then() {
        let (reader, writer) = pipe().expect("a pipe");
        let close = BackgroundClose::of(writer.as_fd()).expect("sockets can be sent");
        drop(writer);
        rustix::io::ioctl_fionbio(&reader, true).expect("a pipe can be set");
        let read = rustix::io::read(&reader, &mut [0u8]);
        assert_eq!(read, Err(rustix::io::Errno::AGAIN));
        drop(close);
    }

    #[test]
    fn a_new_instance_is_found() {
        use rustix::fs::inotify::{CreateFlags, init};
        // Other tests of this process open instances, too: then none is chosen.
        let found = || BackgroundClose::of_inotify(|| init(CreateFlags::CLOEXEC)).1;
        assert!((0..1000).any(|_| found().is_some()));
    }
}
