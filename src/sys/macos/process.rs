//! What guard and keepers need of macOS. Without a subreaper and pidfds the guarantee is weaker: a
//! process that leaves the service's session *and* outlives its parent escapes.

use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use rustix::net::RecvFlags;

pub(crate) use super::process_list::{
    ChildIndex, ChildList, age, boot_id, children, command_line_of, cwd_of, env_var_of,
    env_vars_of, own_threads, process_stat, process_usage, processes, survivor_state, uid_of,
};
use crate::sys::process_stat::ProcessStat;
use crate::sys::signal;
use crate::sys::wait::poll_within;

/// macOS cannot set close-on-exec while receiving; see `close_on_exec`.
pub(crate) const RECV_FLAGS: RecvFlags = RecvFlags::empty();

/// How often to list a tree that is being terminated: the exit of an orphan causes no event.
pub(crate) const RESCAN_INTERVAL: Option<Duration> = Some(Duration::from_millis(10));

/// Does nothing: macOS names a process only after its program.
pub(crate) fn set_process_name(_name: &CStr) {}

/// Does nothing: there is no subreaper. `group_exists` covers what it can.
pub(crate) fn become_subreaper() -> io::Result<()> {
    Ok(())
}

/// Does nothing: macOS has no signal for it.
pub(crate) fn die_with_parent(_parent: u32) {}

/// Sets close-on-exec on a received descriptor.
pub(crate) fn close_on_exec(fd: BorrowedFd<'_>) {
    // Fails only when the descriptor is not open, and it was just received.
    let _ = rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::CLOEXEC);
}

/// Returns `None`: all processes have the same network.
pub(crate) fn network_namespace() -> Option<u64> {
    None
}

/// Closes every descriptor above 2 except `keep`.
pub(crate) fn close_fds_except(keep: RawFd) {
    // SAFETY: no arguments.
    let end = unsafe { libc::getdtablesize() };
    for fd in (3..end).filter(|fd| *fd != keep) {
        // SAFETY: called right after the fork: nothing in this process uses any other descriptor.
        unsafe { libc::close(fd) };
    }
}

/// Where the handler writes. One per process: a keeper has its own.
static WAKE_FD: AtomicI32 = AtomicI32::new(-1);

extern "C" fn on_child(_signal: libc::c_int) {
    // Never closed while the handler is set.
    crate::sys::signal::write_from_handler(WAKE_FD.load(Ordering::Relaxed));
}

/// SIGCHLD as a descriptor to poll (a self-pipe). All other signals are blocked.
pub(crate) struct ChildSignals(OwnedFd);

impl ChildSignals {
    /// Blocks all signals except SIGCHLD and handles that one.
    pub fn new() -> io::Result<ChildSignals> {
        let signals = ChildSignals(wake_pipe()?);
        // SAFETY: the structures are initialized before use; the handler only writes to a pipe.
        unsafe {
            let mut action: libc::sigaction = MaybeUninit::zeroed().assume_init();
            action.sa_sigaction = on_child as *const () as usize;
            action.sa_flags = libc::SA_RESTART;
            libc::sigaction(libc::SIGCHLD, &action, std::ptr::null_mut());
            let mut mask = MaybeUninit::uninit();
            libc::sigfillset(mask.as_mut_ptr());
            libc::sigdelset(mask.as_mut_ptr(), libc::SIGCHLD);
            libc::sigprocmask(libc::SIG_SETMASK, mask.as_ptr(), std::ptr::null_mut());
        }
        Ok(signals)
    }

    /// Discards pending events.
    pub fn drain(&self) {
        // If there are more, the next call reads them.
        let _ = rustix::io::read(&self.0, &mut [0u8; 512]);
    }
}

pub(crate) fn reset_signals() {
    /// macOS has no signal above it.
    const LAST: libc::c_int = 31;
    for signal in 1..=LAST {
        // SAFETY: takes numbers only. Fails for the two signals that cannot be changed.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

fn wake_pipe() -> io::Result<OwnedFd> {
    let (read, write) = io::pipe()?;
    rustix::io::ioctl_fionbio(&read, true)?;
    rustix::io::ioctl_fionbio(&write, true)?;
    WAKE_FD.store(OwnedFd::from(write).into_raw_fd(), Ordering::Relaxed);
    Ok(read.into())
}

impl AsFd for ChildSignals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Whether the group of a reaped main process has members that are not children of this process.
pub(crate) fn group_exists(group: u32) -> bool {
    signal::kill_group(group, 0)
}

/// Kills the group of a main process whose keeper died: no other process adopts it.
pub(crate) fn kill_lost_group(main: u32) {
    signal::kill_group(main, libc::SIGKILL);
}

/// Waits briefly: the exit of a process that is not a child causes no event.
pub(crate) fn wait_any_exit(_pids: &[u32], limit: Duration) {
    let limit = RESCAN_INTERVAL.map_or(limit, |again| again.min(limit));
    // An interrupted wait is just shorter.
    poll_within(&mut [], Some(limit));
}

/// Always true: macOS has no pidfds, and its replacement always works.
pub(crate) fn has_pidfd() -> bool {
    true
}

/// Always true on macOS.
pub(crate) fn proc_is_mounted() -> bool {
    true
}

/// Signals a process that may have been recycled, if `ours` accepts it. Without pidfds a gap of
/// microseconds remains between the check and the signal.
pub(crate) fn signal_checked(pid: u32, number: i32, ours: impl Fn(&ProcessStat) -> bool) {
    if pid > 1 && process_stat(pid).is_some_and(|p| ours(&p)) {
        signal::kill(pid, number);
    }
}

/// Resolves when a process has exited, or at once where that cannot be waited for, as on macOS.
pub(crate) async fn process_exited(_pid: u32) {}
