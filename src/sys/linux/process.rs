//! What guard and keepers need of Linux: subreaper, signalfd, pidfd and `/proc`.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::RecvFlags;
use rustix::process::{PidfdFlags, pidfd_open};

use crate::process::run::ProcessUsage;
use crate::sys::process_stat::ProcessStat;

/// Sets close-on-exec on received descriptors.
pub(crate) const RECV_FLAGS: RecvFlags = RecvFlags::CMSG_CLOEXEC;

/// Own session, default signals.
pub(crate) const SPAWN_FLAGS: libc::c_int = libc::POSIX_SPAWN_SETSID as libc::c_int
    | libc::POSIX_SPAWN_SETSIGDEF
    | libc::POSIX_SPAWN_SETSIGMASK;

/// How often to list a tree that is being terminated: never, exits of orphans are events.
pub(crate) const RESCAN_INTERVAL: Option<Duration> = None;

/// Sets the name that `ps` and `top` show for this process.
pub(crate) fn set_process_name(name: &std::ffi::CStr) {
    // Everything works without a name. SAFETY: a NUL-terminated string, which is copied.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
}

/// Makes this process a subreaper: orphans below it become its children.
pub(crate) fn become_subreaper() -> io::Result<()> {
    Ok(rustix::process::set_child_subreaper(rustix::process::Pid::from_raw(1))?)
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

    /// Does nothing: a signalfd reports the signals of the process that reads it.
    pub fn after_fork(&mut self) -> io::Result<()> {
        Ok(())
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
pub(crate) fn kill_group(_main: u32) {}

pub(crate) fn kill_child(child: u32) {
    // SAFETY: takes numbers only.
    unsafe { libc::kill(child.cast_signed(), libc::SIGKILL) };
}

/// Lists the children of all threads of a process; empty when it is gone.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    listed_children(pid).unwrap_or_else(|| children_by_scan(pid))
}

/// Like `children`; `None` on kernels without `/proc/PID/task/TID/children`.
fn listed_children(pid: u32) -> Option<Vec<u32>> {
    let mut found = Vec::new();
    for thread in threads(pid) {
        match fs::read_to_string(thread.join("children")) {
            Ok(list) => {
                found.extend(list.split_ascii_whitespace().filter_map(|w| w.parse::<u32>().ok()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && thread.exists() => {
                return None;
            }
            Err(_) => {}
        }
    }
    Some(found)
}

/// A process that keeps ending threads never has a complete list.
const LISTINGS: u32 = 8;

/// Lists the threads of a process. The kernel cuts the list when a thread exits during the read, so
/// a list that is too short is read again.
fn threads(pid: u32) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for _ in 0..LISTINGS {
        let Ok(entries) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
        found = entries.flatten().map(|entry| entry.path()).collect();
        if process_usage(pid).is_none_or(|load| found.len() as u64 >= load.threads) {
            break;
        }
    }
    found
}

/// Like `children`, by reading every process.
fn children_by_scan(parent: u32) -> Vec<u32> {
    let is_child = |pid: &u32| process_usage(*pid).is_some_and(|load| load.parent == parent);
    processes().into_iter().filter(is_child).collect()
}

/// `/proc/PID/stat`: `pid (name) state parent group …`. The name may contain parentheses.
struct StatFields<'a> {
    name: &'a [u8],
    /// The fields from `STATE` on, numbered from 1 as in proc(5), up to the last one needed.
    words: Vec<&'a str>,
}

impl<'a> StatFields<'a> {
    const STATE: usize = 3;
    const PARENT: usize = 4;
    const GROUP: usize = 5;
    const USER_TIME: usize = 14;
    const SYSTEM_TIME: usize = 15;
    const REAPED_USER_TIME: usize = 16;
    const REAPED_SYSTEM_TIME: usize = 17;
    const THREADS: usize = 20;
    const BORN: usize = 22;
    const RESIDENT_PAGES: usize = 24;

    fn read(stat: &'a [u8]) -> Option<StatFields<'a>> {
        let open = memchr::memchr(b'(', stat)?;
        let close = memchr::memrchr(b')', stat)?;
        let name = stat.get(open + 1..close)?;
        let rest = std::str::from_utf8(stat.get(close + 1..)?).ok()?;
        let words =
            rest.split_ascii_whitespace().take(StatFields::RESIDENT_PAGES + 1 - StatFields::STATE);
        Some(StatFields { name, words: words.collect() })
    }

    fn word(&self, number: usize) -> Option<&'a str> {
        self.words.get(number - StatFields::STATE).copied()
    }

    fn number<T: std::str::FromStr>(&self, number: usize) -> Option<T> {
        self.word(number)?.parse().ok()
    }

    fn time(&self, number: usize) -> Option<Duration> {
        let ticks = rustix::param::clock_ticks_per_second();
        let spent: u64 = self.number(number)?;
        Some(Duration::from_nanos(spent.saturating_mul(1_000_000_000 / ticks)))
    }
}

/// Reads one process; `None` when it is gone.
pub(crate) fn process_stat(pid: u32) -> Option<ProcessStat> {
    with_short(&format!("/proc/{pid}/stat"), parse_stat)?
}

fn parse_stat(stat: &[u8]) -> Option<ProcessStat> {
    let stat = StatFields::read(stat)?;
    let dead = matches!(stat.word(StatFields::STATE)?, "Z" | "X");
    // When only the first thread has exited, the others keep what the process had open.
    let zombie = dead && stat.number::<u64>(StatFields::THREADS)? <= 1;
    Some(ProcessStat {
        name: String::from_utf8_lossy(stat.name).into_owned(),
        parent: stat.number(StatFields::PARENT)?,
        group: stat.number(StatFields::GROUP)?,
        born: stat.number(StatFields::BORN)?,
        zombie,
    })
}

/// Reads what a process has used; `None` when it is gone.
pub(crate) fn process_usage(pid: u32) -> Option<ProcessUsage> {
    with_short(&format!("/proc/{pid}/stat"), parse_load)?
}

/// Reads a usually short file of `/proc` in one call: `fs::read` makes two more, which would double
/// the cost of a scan.
fn with_short<T>(path: &str, read: impl FnOnce(&[u8]) -> T) -> Option<T> {
    /// Longer than any `stat` and most lists of children.
    const SHORT: usize = 4096;
    /// The kernel leaves out an entry, a pid and a space, that does not fit.
    const LAST: usize = 32;
    let mut bytes = [0; SHORT];
    let length = fs::File::open(path).ok()?.read(&mut bytes).ok()?;
    match length + LAST > SHORT {
        true => Some(read(&fs::read(path).ok()?)),
        false => Some(read(&bytes[..length])),
    }
}

fn parse_load(stat: &[u8]) -> Option<ProcessUsage> {
    let stat = StatFields::read(stat)?;
    let pages: u64 = stat.number(StatFields::RESIDENT_PAGES)?;
    Some(ProcessUsage {
        parent: stat.number(StatFields::PARENT)?,
        cpu: stat.time(StatFields::USER_TIME)? + stat.time(StatFields::SYSTEM_TIME)?,
        reaped: stat.time(StatFields::REAPED_USER_TIME)?
            + stat.time(StatFields::REAPED_SYSTEM_TIME)?,
        threads: stat.number(StatFields::THREADS)?,
        memory: pages.saturating_mul(rustix::param::page_size() as u64),
    })
}

/// Children of each process. Where the kernel does not list them, scans all processes once and
/// keeps the result.
#[derive(Default)]
pub(crate) struct ChildIndex {
    all: Option<BTreeMap<u32, Vec<u32>>>,
}

impl ChildIndex {
    /// Lists the children of a process with that many threads; empty when it is gone.
    pub fn children(&mut self, pid: u32, threads: u64) -> Vec<u32> {
        if let Some(all) = &self.all {
            return all.get(&pid).cloned().unwrap_or_default();
        }
        // Listing the threads would double the cost.
        let listed = if threads == 1 { children_of_thread(pid, pid) } else { None };
        if let Some(listed) = listed.or_else(|| listed_children(pid)) {
            return listed;
        }
        let all = self.all.insert(BTreeMap::new());
        for child in processes() {
            if let Some(load) = process_usage(child) {
                all.entry(load.parent).or_default().push(child);
            }
        }
        all.get(&pid).cloned().unwrap_or_default()
    }
}

/// Lists the children that a thread has started.
fn children_of_thread(pid: u32, thread: u32) -> Option<Vec<u32>> {
    with_short(&format!("/proc/{pid}/task/{thread}/children"), |list| {
        let list = std::str::from_utf8(list).unwrap_or_default();
        list.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect()
    })
}

pub(crate) fn processes() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Identifies the boot and the pid namespace, which containers have their own: pids of another one
/// mean nothing.
pub(crate) fn boot_id() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let space = fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{} {}", boot.trim(), space.display()))
}

/// Returns a variable of a process's initial environment, if this user may read it.
pub(crate) fn env_var_of(pid: u32, name: &str) -> Option<Vec<u8>> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let value =
        |entry: &[u8]| Some(entry.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?.to_vec());
    environment.split(|byte| *byte == 0).find_map(value)
}

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
    let limit = Timespec { tv_sec: limit.as_secs() as i64, tv_nsec: limit.subsec_nanos().into() };
    // An interrupted wait is just shorter.
    let _ = poll(&mut fds, Some(&limit));
}

/// Whether pidfds are available to this process.
pub(crate) fn has_pidfd() -> bool {
    pidfd_open(rustix::process::getpid(), PidfdFlags::empty()).is_ok_and(|me| send(&me, 0))
}

/// Whether `/proc` shows this process: it may not be mounted, or belong to another pid namespace.
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

/// Resolves when a child has exited, or at once if that cannot be waited for.
pub(crate) async fn child_exited(child: u32) {
    use rustix::process::Pid;

    let pid = i32::try_from(child).ok().and_then(Pid::from_raw);
    let Some(Ok(fd)) = pid.map(|pid| pidfd_open(pid, PidfdFlags::empty())) else { return };
    if let Ok(fd) = crate::sys::async_fd::register(fd, tokio::io::Interest::READABLE) {
        // Readable means exited; on an error it cannot be waited for.
        let _ = fd.readable().await;
    }
}

#[cfg(test)]
mod tests {
    use crate::sys::process::*;

    #[test]
    fn a_name_with_brackets_and_blanks_is_read_whole() {
        let stat = b"42 (a) Z (b c) S 7 40 40 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 31337 99";
        let name = "a) Z (b c".to_owned();
        let expected = ProcessStat { name, parent: 7, group: 40, born: 31337, zombie: false };
        assert_eq!(parse_stat(stat), Some(expected));
        let dead = b"42 (x) Z 1 1 1 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 31337 99";
        assert!(parse_stat(dead).is_some_and(|p| p.zombie));
        let dying = b"42 (x) Z 1 1 1 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 2 0 31337 99";
        assert!(parse_stat(dying).is_some_and(|p| !p.zombie), "a thread of it still runs");
        for broken in [&b""[..], b"42 (x", b"42 )x( S 1 1", b"42 (x) S one", b"42 (x) S 1 1 1"] {
            assert_eq!(parse_stat(broken), None);
        }
    }

    #[test]
    fn what_a_process_has_used_is_read() {
        let stat = b"42 (a) Z (b) S 7 40 40 0 -1 4194304 1 2 3 4 250 50 7 3 20 0 5 0 31337 99 12 0";
        let load = parse_load(stat).expect("valid stat");
        assert_eq!((load.parent, load.threads), (7, 5));
        assert_eq!(load.memory, 12 * rustix::param::page_size() as u64);
        // A tick is 10 ms nearly everywhere.
        assert_eq!(load.cpu / 300, load.reaped / 10);
        for broken in [&b""[..], b"42 (x", b"42 (x) S 1 1 1 0 -1"] {
            assert_eq!(parse_load(broken), None);
        }
    }

    #[test]
    fn a_list_of_any_length_is_read_whole() {
        let folder = tempfile::tempdir().expect("temp dir");
        let file = folder.path().join("list");
        for length in [0, 1, 4000, 4064, 4065, 4096, 10_000] {
            fs::write(&file, vec![b'1'; length]).expect("writable");
            assert_eq!(with_short(file.to_str().expect("UTF-8"), <[u8]>::len), Some(length));
        }
    }

    #[test]
    fn kinship_is_the_same_listed_and_scanned() {
        let mut child =
            std::process::Command::new("sleep").arg("60").spawn().expect("sleep exists");
        let me = std::process::id();
        let scanned = ChildIndex { all: Some(BTreeMap::from([(me, vec![child.id()])])) };
        for mut kinship in [ChildIndex::default(), scanned] {
            assert!(kinship.children(me, 2).contains(&child.id()));
        }
        child.kill().expect("our child");
        child.wait().expect("our child");
    }

    #[test]
    fn the_scan_finds_what_the_children_file_says() {
        let mut child =
            std::process::Command::new("sleep").arg("60").spawn().expect("sleep exists");
        let me = std::process::id();
        assert!(children(me).contains(&child.id()));
        assert!(children_by_scan(me).contains(&child.id()));
        child.kill().expect("our child");
        child.wait().expect("our child");
    }
}
