use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// A process that is watched through a pidfd, so that its number cannot come to mean another.
pub struct Pinned {
    pub pid: u32,
    fd: OwnedFd,
}

impl Pinned {
    /// Pins a process that is alive.
    pub fn new(pid: u32) -> Pinned {
        // SAFETY: numbers only; the result is checked and has no other owner.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        assert!(fd >= 0, "process {pid} is not there: {}", std::io::Error::last_os_error());
        // SAFETY: a new descriptor.
        Pinned { pid, fd: unsafe { OwnedFd::from_raw_fd(fd as i32) } }
    }

    /// Pins a process, if it is there.
    pub fn try_new(pid: u32) -> Option<Pinned> {
        std::path::Path::new(&format!("/proc/{pid}")).exists().then(|| Pinned::new(pid))
    }

    /// Signals it.
    pub fn signal(&self, number: i32) {
        let sent = self.try_signal(number);
        assert!(sent.is_ok(), "signal to {}: {sent:?}", self.pid);
    }

    /// Kills it, unless it has exited: the end of another process may have ended it too.
    pub fn kill(&self) {
        let sent = self.try_signal(libc::SIGKILL);
        let ended = sent.as_ref().is_err_and(|e| e.raw_os_error() == Some(libc::ESRCH));
        assert!(sent.is_ok() || ended, "kill of {}: {sent:?}", self.pid);
    }

    fn try_signal(&self, number: i32) -> std::io::Result<()> {
        // SAFETY: numbers and a live descriptor.
        let code = unsafe {
            libc::syscall(libc::SYS_pidfd_send_signal, self.fd.as_raw_fd(), number, 0, 0)
        };
        if code == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
    }

    /// Waits for its end. False when it lives longer than `limit`.
    pub fn ends_within(&self, limit: Duration) -> bool {
        let mut poll = libc::pollfd { fd: self.fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one valid structure.
        unsafe { libc::poll(&mut poll, 1, limit.as_millis() as i32) == 1 }
    }
}
