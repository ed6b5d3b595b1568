use std::io;
use std::mem::MaybeUninit;

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
    let mut info: MaybeUninit<libc::siginfo_t> = MaybeUninit::zeroed();
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    loop {
        // SAFETY: waitid fills the structure; all zeroes are valid and mean no child.
        let (code, pid) = unsafe {
            let code = libc::waitid(libc::P_ALL, 0, info.as_mut_ptr(), options);
            (code, info.assume_init_ref().si_pid())
        };
        let waited = if code == 0 { Ok(pid) } else { Err(io::Error::last_os_error()) };
        match child_poll(waited) {
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
}
