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

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TreeState {
    Alive,
    Empty,
}

/// Finds an exited child without reaping it.
pub(crate) fn poll_child() -> ChildPoll {
    let mut info: MaybeUninit<libc::siginfo_t> = MaybeUninit::zeroed();
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    loop {
        // SAFETY: waitid fills the structure; all zeroes are valid and mean no child.
        let (code, pid) = unsafe {
            let code = libc::waitid(libc::P_ALL, 0, info.as_mut_ptr(), options);
            (code, info.assume_init_ref().si_pid())
        };
        match (code, std::io::Error::last_os_error().raw_os_error()) {
            (0, _) if pid > 0 => return ChildPoll::Exited(pid.cast_unsigned()),
            (0, _) => return ChildPoll::AllRunning,
            (_, Some(libc::EINTR)) => {}
            _ => return ChildPoll::NoChildren,
        }
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
