//! Signals to processes and groups, and how this process reacts to some of them.

use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

#[cfg(target_os = "linux")]
use libc::__errno_location as errno_location;
#[cfg(not(target_os = "linux"))]
use libc::__error as errno_location;
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

/// Signals a process. It must be an unreaped child of this process, which keeps its pid.
pub(crate) fn kill(pid: u32, signal: i32) {
    if let Ok(pid @ 2..) = i32::try_from(pid) {
        // SAFETY: takes numbers only. Fails when the process is gone.
        unsafe { libc::kill(pid, signal) };
    }
}

/// Signals the group of this process, as the terminal does for Ctrl-C and Ctrl-Z.
#[cfg(feature = "tui")]
pub(crate) fn signal_own_group(signal: i32) {
    // SAFETY: takes numbers only.
    unsafe { libc::kill(0, signal) };
}

/// Stops this process until SIGCONT.
#[cfg(feature = "tui")]
pub(crate) fn stop_self() {
    // SAFETY: takes a number only.
    unsafe { libc::raise(libc::SIGSTOP) };
}

/// Lets SIGTSTP stop this process again, after it was caught for a while.
#[cfg(feature = "tui")]
pub(crate) fn reset_suspend_signal() {
    // SAFETY: the default action is a valid one.
    unsafe { libc::signal(libc::SIGTSTP, libc::SIG_DFL) };
}

/// Lets this process use its terminal while another program is in front.
#[cfg(feature = "tui")]
pub(crate) fn ignore_background_output() {
    // SAFETY: ignoring a signal runs no code.
    unsafe { libc::signal(libc::SIGTTOU, libc::SIG_IGN) };
}

/// Whether a process with this pid exists, of whatever user.
pub(crate) fn process_exists(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| test_kill_process(pid) != Err(Errno::SRCH))
}

/// Signals a process group; 0 only checks. Returns whether it has members.
pub(crate) fn kill_group(group: u32, signal: i32) -> bool {
    let Ok(group @ 2..) = i32::try_from(group) else { return false };
    // SAFETY: takes numbers only.
    unsafe { libc::kill(-group, signal) == 0 }
}

// rustix has these three too, but not for 0: the leader may be in an outer pid namespace.

/// Returns the session of a process, of this one for 0; -1 when it is gone.
pub(crate) fn session_of(pid: u32) -> i32 {
    // SAFETY: takes a number only.
    unsafe { libc::getsid(pid.cast_signed()) }
}

/// Returns the group of a process; -1 when it is gone.
pub(crate) fn group_of(pid: u32) -> i32 {
    // SAFETY: takes a number only.
    unsafe { libc::getpgid(pid.cast_signed()) }
}

/// Returns the group of this process; 0 when its leader is in an outer pid namespace, as happens to
/// the first process of a container.
pub(crate) fn own_group() -> i32 {
    // SAFETY: takes no arguments.
    unsafe { libc::getpgrp() }
}

/// Whether this process is in the foreground group of a terminal. Both groups are 0 when neither
/// can be seen.
pub(crate) fn in_foreground(terminal: impl AsFd) -> bool {
    match rustix::termios::tcgetpgrp(terminal) {
        Ok(group) => group.as_raw_pid() == own_group(),
        Err(error) => error == Errno::OPNOTSUPP && own_group() == 0,
    }
}

/// Turns a write beyond the user's file size limit (`ulimit -f`) into an error, like a full disk,
/// instead of a fatal SIGXFSZ. Not inherited: exec resets caught signals, unlike ignored ones.
pub(crate) fn ignore_file_size_signal() {
    extern "C" fn nothing(_: libc::c_int) {}
    let nothing: extern "C" fn(libc::c_int) = nothing;
    // SAFETY: the handler touches nothing, so it may interrupt anything.
    unsafe { libc::signal(libc::SIGXFSZ, nothing as *const () as libc::sighandler_t) };
}

/// Whether this process was started with SIGHUP ignored, as by nohup.
pub(crate) fn ignores_hangup() -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: a null action only queries; `action` is large enough for the result.
    let asked = unsafe { libc::sigaction(libc::SIGHUP, std::ptr::null(), action.as_mut_ptr()) };
    // SAFETY: all zeroes are a valid action, and so is what the system wrote.
    asked == 0 && unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}

/// Whether a caught SIGINT has asked this process to end.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Records that a SIGINT was caught, for [`exit`].
pub(crate) fn note_interrupt() {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

/// Ends the program with this code. After a caught Ctrl-C it dies of SIGINT: a shell ends its loop
/// only for a program that died of the signal, not for one that exits with 130. The first process
/// of a container cannot.
#[expect(
    clippy::disallowed_methods,
    reason = "the only exit of the program, after everything was torn down"
)]
pub fn exit(code: i32) -> ! {
    if code == 128 + libc::SIGINT && INTERRUPTED.load(Ordering::Relaxed) {
        // The reader may have closed it.
        let _ = io::stdout().flush();
        // SAFETY: an empty set is a valid one, and all arguments outlive the calls. The default
        // action ends the process, unless it is the first one of a pid namespace.
        unsafe {
            let mut interrupt = MaybeUninit::<libc::sigset_t>::zeroed();
            libc::sigemptyset(interrupt.as_mut_ptr());
            libc::sigaddset(interrupt.as_mut_ptr(), libc::SIGINT);
            libc::signal(libc::SIGINT, libc::SIG_DFL);
            libc::pthread_sigmask(libc::SIG_UNBLOCK, interrupt.as_ptr(), std::ptr::null_mut());
            libc::raise(libc::SIGINT);
        }
    }
    std::process::exit(code)
}

/// Descriptor that the Ctrl-C handler writes to; negative: none.
static CTRL_C: AtomicI32 = AtomicI32::new(-1);

/// Redirects Ctrl-C to a pipe while it lives.
pub(crate) struct CtrlCHandler {
    before: libc::sigaction,
    _writer: OwnedFd,
}

impl CtrlCHandler {
    /// Writes a byte to the pipe at each Ctrl-C.
    pub fn install(writer: OwnedFd) -> io::Result<CtrlCHandler> {
        CTRL_C.store(writer.as_raw_fd(), Ordering::SeqCst);
        let mut before = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: zeroes are a valid action; the handler only does what is async-signal-safe; the
        // previous action is written to `before`, which is large enough for it.
        let before = unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_ctrl_c as extern "C" fn(libc::c_int) as libc::sighandler_t;
            if libc::sigaction(libc::SIGINT, &raw const action, before.as_mut_ptr()) != 0 {
                return Err(io::Error::last_os_error());
            }
            before.assume_init()
        };
        Ok(CtrlCHandler { before, _writer: writer })
    }
}

impl Drop for CtrlCHandler {
    fn drop(&mut self) {
        // SAFETY: the action is the one that the system returned before.
        unsafe { libc::sigaction(libc::SIGINT, &raw const self.before, std::ptr::null_mut()) };
        CTRL_C.store(-1, Ordering::SeqCst);
    }
}

extern "C" fn on_ctrl_c(_signal: libc::c_int) {
    note_interrupt();
    // The pipe cannot fill up from a user pressing Ctrl-C.
    write_from_handler(CTRL_C.load(Ordering::SeqCst));
}

/// Writes a byte from a signal handler. What the handler interrupts finds its `errno` unchanged.
pub(crate) fn write_from_handler(fd: RawFd) {
    // SAFETY: `write` is async-signal-safe and takes a byte that lives on; a closed descriptor is an
    // error. The location of `errno` is valid as long as its thread lives.
    unsafe {
        let errno = *errno_location();
        libc::write(fd, b"!".as_ptr().cast(), 1);
        *errno_location() = errno;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handler_keeps_errno() {
        // SAFETY: the location is that of this thread.
        unsafe { *errno_location() = libc::ERANGE };
        // Fails, because there is no such descriptor.
        write_from_handler(-1);
        assert_eq!(io::Error::last_os_error().raw_os_error(), Some(libc::ERANGE));
    }
}
