//! What guard and keepers need of Linux: subreaper, signalfd, pidfd and `/proc`.

use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::net::RecvFlags;
use rustix::process::{PidfdFlags, pidfd_open};

pub(crate) use super::process_list::{
    ChildIndex, ChildList, age, boot_id, children, command_line_of, cwd_of, env_var_of,
    env_vars_of, own_threads, process_stat, process_usage, processes, uid_of,
};
pub(crate) use super::survivor_state::survivor_state;
use crate::sys::process_stat::ProcessStat;
use crate::sys::wait::poll_within;

/// Sets close-on-exec on received descriptors.
pub(crate) const RECV_FLAGS: RecvFlags = RecvFlags::CMSG_CLOEXEC;

/// How often to list a tree that is being terminated: never, exits of orphans are events.
pub(crate) const RESCAN_INTERVAL: Option<Duration> = None;

/// Sets the name that `ps` and `top` show for this process.
pub(crate) fn set_process_name(name: &std::ffi::CStr) {
    // Everything works without a name. SAFETY: a NUL-terminated string, which is copied.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
}

/// Returns what identifies the network of this process: loopback is another one in a container.
pub(crate) fn network_namespace() -> Option<u64> {
    Some(std::os::unix::fs::MetadataExt::ino(&fs::metadata("/proc/self/ns/net").ok()?))
}

/// Makes this process a subreaper: orphans below it become its children.
pub(crate) fn become_subreaper() -> io::Result<()> {
    Ok(rustix::process::set_child_subreaper(rustix::process::Pid::from_raw(1))?)
}

/// Kills this process, a child of `parent`, when that dies. Lost when a program changes its user.
pub(crate) fn die_with_parent(parent: u32) {
    // SAFETY: takes numbers only.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    if rustix::process::getppid().is_none_or(|now| now.as_raw_pid().cast_unsigned() != parent) {
        crate::sys::fork::exit_now(127);
    }
}

/// Does nothing: descriptors arrive with close-on-exec, see `RECV_FLAGS`.
pub(crate) fn close_on_exec(_fd: BorrowedFd<'_>) {}

/// Closes every descriptor above 2 except `keep`.
pub(crate) fn close_fds_except(keep: RawFd) {
    let keep = keep as libc::c_uint;
    if close_range(3, keep.saturating_sub(1)) && close_range(keep + 1, libc::c_uint::MAX) {
        return;
    }
    let Ok(entries) = fs::read_dir("/proc/self/fd") else { return };
    let open: Vec<RawFd> =
        entries.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect();
    for fd in open {
        if fd > 2 && fd as libc::c_uint != keep {
            // SAFETY: called right after the fork: nothing in this process uses any other
            // descriptor.
            unsafe { libc::close(fd) };
        }
    }
}

fn close_range(first: libc::c_uint, last: libc::c_uint) -> bool {
    if first > last {
        return true;
    }
    // SAFETY: takes numbers only; the caller knows that these descriptors are not used.
    unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) == 0 }
}

/// SIGCHLD as a descriptor to poll. All other signals are blocked.
pub(crate) struct ChildSignals(OwnedFd);

impl ChildSignals {
    /// Blocks all signals of this thread and opens a signalfd for SIGCHLD.
    pub fn new() -> io::Result<ChildSignals> {
        // SAFETY: the sets are initialized by sigfillset and sigemptyset before they are read.
        let fd = unsafe {
            // An inherited ignored SIGCHLD would hide the exit of every child.
            libc::signal(libc::SIGCHLD, libc::SIG_DFL);
            let mut all = MaybeUninit::uninit();
            libc::sigfillset(all.as_mut_ptr());
            libc::sigprocmask(libc::SIG_SETMASK, all.as_ptr(), std::ptr::null_mut());
            let mut child = MaybeUninit::uninit();
            libc::sigemptyset(child.as_mut_ptr());
            libc::sigaddset(child.as_mut_ptr(), libc::SIGCHLD);
            libc::signalfd(-1, child.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
        };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a new descriptor without another owner.
        Ok(ChildSignals(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Discards pending events.
    pub fn drain(&self) {
        // One read is enough: a pending signal is queued only once.
        let _ = rustix::io::read(&self.0, &mut [0u8; 512]);
    }
}

/// Resets every signal to its default, those reserved by the C library too: devstack may have
/// inherited them as ignored.
pub(crate) fn reset_signals() {
    /// Highest real-time signal.
    const LAST: libc::c_int = 64;
    // Larger than the kernel's structure on any architecture; zeroes mean the default on all.
    let default = [0_u64; 8];
    for signal in 1..=LAST {
        // SAFETY: only reads from `default`. Fails for the two signals that cannot be changed.
        unsafe {
            let (new, old) = (default.as_ptr(), std::ptr::null_mut::<u64>());
            libc::syscall(libc::SYS_rt_sigaction, signal, new, old, size_of::<u64>());
        }
    }
}

impl AsFd for ChildSignals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Whether the group of a reaped main process has members that are not children of this process.
/// Never on Linux: every orphan becomes a child.
pub(crate) fn group_exists(_group: u32) -> bool {
    false
}

/// Does nothing: the orphans of a dead keeper are now children of the guard.
pub(crate) fn kill_lost_group(_main: u32) {}

/// How long to wait for processes that cannot be pinned, and so not be polled.
const UNPINNED_WAIT: Duration = Duration::from_millis(5);

/// The exit of one process is enough to wake up.
const MAX_WAIT: usize = 64;

/// Waits for the exit of one of these processes, which need not be children. May return early.
pub(crate) fn wait_any_exit(pids: &[u32], limit: Duration) {
    let pin = |pid: &u32| {
        let pid = rustix::process::Pid::from_raw(pid.cast_signed())?;
        pidfd_open(pid, PidfdFlags::empty()).ok()
    };
    let pinned: Vec<OwnedFd> = pids.iter().take(MAX_WAIT).map_while(pin).collect();
    let limit = match pinned.is_empty() {
        true if has_pidfd() => return,
        true => UNPINNED_WAIT.min(limit),
        false => limit,
    };
    let mut fds: Vec<PollFd<'_>> = pinned.iter().map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
    // An interrupted wait is just shorter.
    poll_within(&mut fds, Some(limit));
}

/// Whether processes can be pinned while they are inspected, so that no recycled pid is signalled.
pub(crate) fn has_pidfd() -> bool {
    pidfd_open(rustix::process::getpid(), PidfdFlags::empty()).is_ok_and(|me| send(&me, 0))
}

/// Whether `/proc` shows this process: it may not be mounted, or belong to another pid namespace.
/// Without it a tree cannot be ended reliably, so nothing may be started.
pub(crate) fn proc_is_mounted() -> bool {
    let me = std::process::id().to_string();
    fs::read_link("/proc/self").is_ok_and(|shown| shown.as_os_str() == me.as_str())
}

/// Signals a process whose pid may have been recycled: pins it, reads it, and signals it only if
/// `ours` accepts it.
pub(crate) fn signal_checked(pid: u32, signal: i32, ours: impl Fn(&ProcessStat) -> bool) {
    let Some(raw) = rustix::process::Pid::from_raw(pid.cast_signed()) else { return };
    let Ok(pinned) = pidfd_open(raw, PidfdFlags::empty()) else { return };
    if process_stat(pid).is_some_and(|p| ours(&p)) {
        // Fails when the process is gone.
        let _ = send(&pinned, signal);
    }
}

/// Signals a pinned process; 0 only checks the permission. True when it was sent.
fn send(pinned: &OwnedFd, signal: i32) -> bool {
    let info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: a live pidfd, numbers and no siginfo.
    unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pinned.as_raw_fd(), signal, info, 0) == 0 }
}

/// Resolves when a process has exited, or at once if that cannot be waited for.
pub(crate) async fn process_exited(pid: u32) {
    use rustix::process::Pid;

    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let Some(Ok(fd)) = pid.map(|pid| pidfd_open(pid, PidfdFlags::empty())) else { return };
    if let Ok(fd) = crate::sys::async_fd::register(fd, tokio::io::Interest::READABLE) {
        // Readable means exited; on an error it cannot be waited for.
        let _ = fd.readable().await;
    }
}
