use std::io;
use std::mem::MaybeUninit;
use std::time::Duration;

use rustix::event::{PollFd, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, waitpid};

use crate::model::ProcessExit;

/// State of this process's children.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ChildPoll {
    /// This child has exited but is not reaped, so it keeps its pid.
    Exited(u32),
    AllRunning,
    /// There are no children, which proves that a tree is empty.
    NoChildren,
}

/// Finds an exited child without reaping it. Fails when the system does not say: then there may be
/// children.
pub(crate) fn poll_child() -> io::Result<ChildPoll> {
    loop {
        match child_poll(exited(libc::P_ALL, 0)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            found => return found,
        }
    }
}

fn child_poll(waited: io::Result<i32>) -> io::Result<ChildPoll> {
    match waited {
        Ok(pid) if pid > 0 => Ok(ChildPoll::Exited(pid.cast_unsigned())),
        Ok(_) => Ok(ChildPoll::AllRunning),
        Err(error) if error.raw_os_error() == Some(libc::ECHILD) => Ok(ChildPoll::NoChildren),
        Err(error) => Err(error),
    }
}

/// Whether this child has exited; a reaped one has. Does not reap it, and opens no file.
pub(crate) fn has_exited(pid: u32) -> bool {
    match exited(libc::P_PID, pid) {
        Ok(found) => found != 0,
        Err(error) => error.raw_os_error() == Some(libc::ECHILD),
    }
}

/// Returns the pid of an exited child among these, or 0. Does not reap it.
fn exited(kind: libc::idtype_t, id: libc::id_t) -> io::Result<i32> {
    let mut info: MaybeUninit<libc::siginfo_t> = MaybeUninit::zeroed();
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: waitid fills the structure; all zeroes are valid and mean no child.
    let (code, pid) = unsafe {
        let code = libc::waitid(kind, id, info.as_mut_ptr(), options);
        (code, info.assume_init_ref().si_pid())
    };
    if code == 0 { Ok(pid) } else { Err(io::Error::last_os_error()) }
}

/// Reaps a child found by `poll_child` and returns its exit.
pub(crate) fn reap(pid: u32) -> Option<ProcessExit> {
    let mut status = 0;
    // SAFETY: takes a number and writes to `status`.
    let got = unsafe { libc::waitpid(pid.cast_signed(), &mut status, libc::WNOHANG) };
    if got != pid.cast_signed() {
        return None;
    }
    if libc::WIFSIGNALED(status) {
        Some(ProcessExit::Signal(libc::WTERMSIG(status)))
    } else {
        Some(ProcessExit::Code(libc::WEXITSTATUS(status)))
    }
}

/// Polls with a timeout. True when a descriptor is ready; false, too, when a signal interrupts it.
pub(crate) fn poll_within(fds: &mut [PollFd<'_>], timeout: Option<Duration>) -> bool {
    let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
    poll(fds, timeout.as_ref()).is_ok_and(|ready| ready > 0)
}

/// Waits for the exit of a child and reaps it. On an error `init` reaps it later.
pub(crate) fn wait_and_reap(child: u32) {
    let pid = Pid::from_raw(child.cast_signed());
    while waitpid(pid, WaitOptions::empty()).is_err_and(|error| error == Errno::INTR) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_echild_proves_that_there_are_no_children() {
        let failed = |errno| child_poll(Err(io::Error::from_raw_os_error(errno)));
        assert_eq!(failed(libc::ECHILD).expect("proof"), ChildPoll::NoChildren);
        for errno in [libc::EINTR, libc::EINVAL, libc::ENOSYS, libc::EPERM, libc::ENOMEM] {
            let error = failed(errno).expect_err("no proof");
            assert_eq!(error.raw_os_error(), Some(errno));
        }
        assert_eq!(child_poll(Ok(0)).expect("children"), ChildPoll::AllRunning);
        assert_eq!(child_poll(Ok(7)).expect("a child"), ChildPoll::Exited(7));
    }

    #[test]
    fn a_child_has_exited_before_and_after_it_is_reaped() {
        let mut child =
            std::process::Command::new("sleep").arg("60").spawn().expect("sleep exists");
        assert!(!has_exited(child.id()));
        child.kill().expect("our child");
        while !has_exited(child.id()) {
            std::thread::yield_now();
        }
        child.wait().expect("it is not reaped yet");
        assert!(has_exited(child.id()));
    }
}
