//! What guard and keepers need of macOS. It has neither subreaper nor a safe way to pin a process, so
//! the promise is weaker here: what leaves the service's session *and* outlives its parent gets away.

use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use rustix::event::{Timespec, poll};
use rustix::net::RecvFlags;

use super::proc::Proc;
use super::spent::Load;

/// macOS cannot set close-on-exec while receiving; see `close_on_exec`.
pub(super) const RECV_FLAGS: RecvFlags = RecvFlags::empty();

/// How often to look at a tree that is asked to end: nobody tells of the end of an orphan.
pub(super) const LOOK_AGAIN: Option<Duration> = Some(Duration::from_millis(10));

/// From `spawn.h`; the libc crate does not have it.
const POSIX_SPAWN_SETSID: libc::c_int = 0x0400;

/// Own session, no inherited signals, no descriptors but those named.
pub(super) const SPAWN_FLAGS: libc::c_int = POSIX_SPAWN_SETSID
    | libc::POSIX_SPAWN_SETSIGDEF
    | libc::POSIX_SPAWN_SETSIGMASK
    | libc::POSIX_SPAWN_CLOEXEC_DEFAULT;

/// The most children of one process that are looked at: far above what a development stack has.
const MAX_CHILDREN: usize = 4096;

/// The most processes that are looked at: above what macOS allows for a whole machine by default.
const MAX_PROCESSES: usize = 16_384;

/// macOS has no name for a process apart from its program.
pub(super) fn name_self(_name: &CStr) {}

/// There is no subreaper; `group_lives` covers what it can.
pub(super) fn adopt_orphans() -> io::Result<()> {
    Ok(())
}

/// Marks a received descriptor.
pub(super) fn close_on_exec(fd: BorrowedFd<'_>) {
    // An error would only mean that the descriptor is not open, and it was just received.
    let _ = rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::CLOEXEC);
}

/// Closes every descriptor above 2 but this one.
pub(super) fn close_all_but(keep: RawFd) {
    // SAFETY: no arguments.
    let end = unsafe { libc::getdtablesize() };
    for fd in (3..end).filter(|fd| *fd != keep) {
        // SAFETY: called once, right after the fork: nothing in this process uses any other descriptor.
        unsafe { libc::close(fd) };
    }
}

/// Where the handler writes. One per process: a keeper replaces it after its fork.
static WAKE: AtomicI32 = AtomicI32::new(-1);

extern "C" fn on_child(_signal: libc::c_int) {
    let fd = WAKE.load(Ordering::Relaxed);
    // SAFETY: write is async-signal-safe; the descriptor is never closed while the handler is set.
    unsafe { libc::write(fd, c"!".as_ptr().cast(), 1) };
}

/// SIGCHLD as something to poll (a pipe to oneself). Every other signal is blocked.
pub(super) struct Signals(OwnedFd);

impl Signals {
    /// Blocks all signals but SIGCHLD and listens to that one.
    pub fn new() -> io::Result<Signals> {
        let signals = Signals(wake_pipe()?);
        // SAFETY: the structures are initialised before they are read; the handler only writes to a pipe.
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

    /// In a forked child: a pipe of its own.
    pub fn after_fork(&mut self) -> io::Result<()> {
        let old = WAKE.load(Ordering::Relaxed);
        self.0 = wake_pipe()?;
        // SAFETY: the copy of the parent's write end, which nothing uses any more.
        unsafe { libc::close(old) };
        Ok(())
    }

    /// Forgets what was told so far.
    pub fn drain(&self) {
        // What is left, if so many came, is read next time.
        let _ = rustix::io::read(&self.0, &mut [0u8; 512]);
    }
}

/// Gives every signal its default again.
pub(super) fn default_signals() {
    /// There are no others on macOS.
    const LAST: libc::c_int = 31;
    for signal in 1..=LAST {
        // SAFETY: numbers only. The two signals that have no other disposition answer with an error.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

fn wake_pipe() -> io::Result<OwnedFd> {
    let (read, write) = io::pipe()?;
    rustix::io::ioctl_fionbio(&read, true)?;
    rustix::io::ioctl_fionbio(&write, true)?;
    WAKE.store(OwnedFd::from(write).into_raw_fd(), Ordering::Relaxed);
    Ok(read.into())
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Whether the group of a reaped main process still has members that are nobody's children here.
pub(super) fn group_lives(group: u32) -> bool {
    // SAFETY: signal 0 only asks.
    group > 1 && unsafe { libc::kill(-group.cast_signed(), 0) } == 0
}

/// Ends the group of a main process whose keeper died: nobody else inherits it.
pub(super) fn kill_group(main: u32) {
    if main > 1 {
        // SAFETY: numbers only.
        unsafe { libc::kill(-main.cast_signed(), libc::SIGKILL) };
    }
}

/// Kills a child of this process.
pub(super) fn kill_one(child: u32) {
    // SAFETY: numbers only.
    unsafe { libc::kill(child.cast_signed(), libc::SIGKILL) };
}

/// The children of a process. Empty when it is gone.
pub(super) fn children(pid: u32) -> Vec<u32> {
    let mut list = vec![0 as libc::pid_t; MAX_CHILDREN];
    let bytes = (list.len() * size_of::<libc::pid_t>()) as libc::c_int;
    // SAFETY: the buffer is as long as it is said to be.
    let count =
        unsafe { libc::proc_listchildpids(pid.cast_signed(), list.as_mut_ptr().cast(), bytes) };
    list.truncate(usize::try_from(count).unwrap_or(0).min(MAX_CHILDREN));
    list.into_iter().filter_map(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0).collect()
}

/// What is known of a process; `None` when it is gone.
pub(super) fn look(pid: u32) -> Option<Proc> {
    let mut info: MaybeUninit<libc::proc_bsdinfo> = MaybeUninit::zeroed();
    let size = size_of::<libc::proc_bsdinfo>() as libc::c_int;
    // SAFETY: the buffer is as long as it is said to be, and all zeroes are a valid proc_bsdinfo.
    let info = unsafe {
        let flavor = libc::PROC_PIDTBSDINFO;
        let got = libc::proc_pidinfo(pid.cast_signed(), flavor, 0, info.as_mut_ptr().cast(), size);
        if got != size {
            return None;
        }
        info.assume_init()
    };
    let name: Vec<u8> =
        info.pbi_comm.iter().take_while(|c| **c != 0).map(|c| c.cast_unsigned()).collect();
    Some(Proc {
        name: String::from_utf8_lossy(&name).into_owned(),
        parent: info.pbi_ppid,
        group: info.pbi_pgid,
        born: info.pbi_start_tvsec * 1_000_000 + info.pbi_start_tvusec,
        zombie: info.pbi_status == libc::SZOMB,
    })
}

/// What a process has used; `None` when it is gone. What its children used is forgotten with them.
pub(super) fn load(pid: u32) -> Option<Load> {
    let mut info: MaybeUninit<libc::proc_taskinfo> = MaybeUninit::zeroed();
    let size = size_of::<libc::proc_taskinfo>() as libc::c_int;
    // SAFETY: the buffer is as long as it is said to be, and all zeroes are a valid proc_taskinfo.
    let info = unsafe {
        let flavor = libc::PROC_PIDTASKINFO;
        let got = libc::proc_pidinfo(pid.cast_signed(), flavor, 0, info.as_mut_ptr().cast(), size);
        if got != size {
            return None;
        }
        info.assume_init()
    };
    Some(Load {
        parent: look(pid)?.parent,
        cpu: span(info.pti_total_user.saturating_add(info.pti_total_system)),
        reaped: Duration::ZERO,
        threads: u64::try_from(info.pti_threadnum).unwrap_or(1),
        memory: info.pti_resident_size,
    })
}

/// A time in the unit of the processor's clock, which is not a nanosecond everywhere.
fn span(ticks: u64) -> Duration {
    /// How many nanoseconds `denominator` ticks take.
    #[repr(C)]
    struct Timebase {
        nanos: u32,
        denominator: u32,
    }
    unsafe extern "C" {
        fn mach_timebase_info(info: *mut Timebase) -> libc::c_int;
    }
    let mut base = Timebase { nanos: 1, denominator: 1 };
    // SAFETY: it writes two numbers there.
    unsafe { mach_timebase_info(&raw mut base) };
    let nanos = u128::from(ticks) * u128::from(base.nanos) / u128::from(base.denominator.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// Who is whose child: the system is asked each time.
#[derive(Default)]
pub(super) struct Kinship;

impl Kinship {
    /// The children of a process. Empty when it is gone.
    pub fn children(&mut self, pid: u32, _threads: u64) -> Vec<u32> {
        children(pid)
    }
}

/// The numbers of all processes that can be seen.
pub(super) fn processes() -> Vec<u32> {
    let mut list = vec![0 as libc::pid_t; MAX_PROCESSES];
    let bytes = (list.len() * size_of::<libc::pid_t>()) as libc::c_int;
    // SAFETY: the buffer is as long as it is said to be.
    let count = unsafe { libc::proc_listallpids(list.as_mut_ptr().cast(), bytes) };
    list.truncate(usize::try_from(count).unwrap_or(0).min(MAX_PROCESSES));
    list.into_iter().filter_map(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0).collect()
}

/// Since when process numbers mean what they mean: the boot.
pub(super) fn era() -> Option<String> {
    let mut text = [0u8; 64];
    let mut length = text.len();
    // SAFETY: the name is terminated, and the buffer is as long as it is said to be.
    let code = unsafe {
        libc::sysctlbyname(
            c"kern.bootsessionuuid".as_ptr(),
            text.as_mut_ptr().cast(),
            &mut length,
            std::ptr::null_mut(),
            0,
        )
    };
    let text = CStr::from_bytes_until_nul(&text).ok().filter(|_| code == 0)?;
    Some(text.to_string_lossy().into_owned())
}

/// Not looked at on macOS: only recorded processes and their descendants are known again.
pub(super) fn variable(_pid: u32, _name: &str) -> Option<Vec<u8>> {
    None
}

/// Waits a little: nobody tells of the end of a process that is no child.
pub(super) fn wait_for_one(_pids: &[u32], limit: Duration) {
    let limit = LOOK_AGAIN.map_or(limit, |again| again.min(limit));
    let limit = Timespec { tv_sec: limit.as_secs() as i64, tv_nsec: limit.subsec_nanos().into() };
    // An interrupted wait is a short one.
    let _ = poll(&mut [], Some(&limit));
}

/// There is no such thing here; what is done instead always works.
pub(super) fn pins() -> bool {
    true
}

/// Whether the system shows this process and those below it: always.
pub(super) fn sees_itself() -> bool {
    true
}

/// Signals a process that may be anybody's by now, if `ours` accepts it. Without pidfds a gap of
/// microseconds remains between the look and the signal.
pub(super) fn signal_checked(pid: u32, signal: i32, ours: impl Fn(&Proc) -> bool) {
    if pid > 1 && look(pid).is_some_and(|p| ours(&p)) {
        // SAFETY: numbers only. An error means that it is gone.
        unsafe { libc::kill(pid.cast_signed(), signal) };
    }
}

/// Resolves when a child of this process has ended, or at once when that cannot be waited for: here
/// it cannot.
pub(super) async fn ended(_child: u32) {}
