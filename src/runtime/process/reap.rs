use std::mem::MaybeUninit;

use crate::model::Exit;

/// What a look at the children of this process showed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reaped {
    /// This child has ended. It still keeps its number.
    Dead(u32),
    /// All children live.
    NoneDead,
    /// There are no children: the proof that a tree is empty.
    NoChildren,
}

/// Whether the dead were all there were.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Dead {
    /// Others live.
    Some,
    /// Nobody is left.
    All,
}

/// A child that has ended, not yet reaped.
pub(super) fn next_dead() -> Reaped {
    let mut info: MaybeUninit<libc::siginfo_t> = MaybeUninit::zeroed();
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    loop {
        // SAFETY: waitid fills the structure; all zeroes are valid and mean "none".
        let (code, pid) = unsafe {
            let code = libc::waitid(libc::P_ALL, 0, info.as_mut_ptr(), options);
            (code, info.assume_init_ref().si_pid())
        };
        match (code, std::io::Error::last_os_error().raw_os_error()) {
            (0, _) if pid > 0 => return Reaped::Dead(pid.cast_unsigned()),
            (0, _) => return Reaped::NoneDead,
            (_, Some(libc::EINTR)) => {}
            _ => return Reaped::NoChildren,
        }
    }
}

/// Reaps a child that `next_dead` named, and says how it ended.
pub(super) fn bury(pid: u32) -> Option<Exit> {
    let mut status = 0;
    // SAFETY: a number and a place for the answer.
    let got = unsafe { libc::waitpid(pid.cast_signed(), &mut status, libc::WNOHANG) };
    if got != pid.cast_signed() {
        return None;
    }
    if libc::WIFSIGNALED(status) {
        Some(Exit::Signal(libc::WTERMSIG(status)))
    } else {
        Some(Exit::Code(libc::WEXITSTATUS(status)))
    }
}
