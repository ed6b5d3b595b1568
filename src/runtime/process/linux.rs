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

use super::proc::Proc;
use super::spent::Load;

/// Received descriptors are closed on exec from the start.
pub(super) const RECV_FLAGS: RecvFlags = RecvFlags::CMSG_CLOEXEC;

/// Own session, no inherited signals.
pub(super) const SPAWN_FLAGS: libc::c_int = libc::POSIX_SPAWN_SETSID as libc::c_int
    | libc::POSIX_SPAWN_SETSIGDEF
    | libc::POSIX_SPAWN_SETSIGMASK;

/// How often to look at a tree that is asked to end: never, every end of an orphan is told.
pub(super) const LOOK_AGAIN: Option<Duration> = None;

/// The name that `ps` and `top` show for this process.
pub(super) fn name_self(name: &std::ffi::CStr) {
    // A name is a courtesy; without it everything works.
    // SAFETY: a terminated text, which the kernel copies.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
}

/// Orphans below this process become its children.
pub(super) fn adopt_orphans() -> io::Result<()> {
    Ok(rustix::process::set_child_subreaper(rustix::process::Pid::from_raw(1))?)
}

/// Nothing to do: descriptors arrive with close-on-exec, see `RECV_FLAGS`.
pub(super) fn close_on_exec(_fd: BorrowedFd<'_>) {}

/// Closes every descriptor above 2 but this one.
pub(super) fn close_all_but(keep: RawFd) {
    let keep = keep as libc::c_uint;
    if close_range(3, keep.saturating_sub(1)) && close_range(keep + 1, libc::c_uint::MAX) {
        return;
    }
    let Ok(entries) = fs::read_dir("/proc/self/fd") else { return };
    let open: Vec<RawFd> =
        entries.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect();
    for fd in open {
        if fd > 2 && fd as libc::c_uint != keep {
            // SAFETY: called once, right after the fork: nothing in this process uses any other descriptor.
            unsafe { libc::close(fd) };
        }
    }
}

fn close_range(first: libc::c_uint, last: libc::c_uint) -> bool {
    if first > last {
        return true;
    }
    // SAFETY: plain numbers; the caller knows that nothing uses these descriptors.
    unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) == 0 }
}

/// SIGCHLD as something to poll. Every other signal is blocked: nothing from outside ends a keeper politely.
pub(super) struct Signals(OwnedFd);

impl Signals {
    /// Blocks all signals of this thread and listens to SIGCHLD.
    pub fn new() -> io::Result<Signals> {
        // SAFETY: the sets are initialised by sigfillset and sigemptyset before they are read.
        let fd = unsafe {
            // An ignored SIGCHLD, inherited from whoever started us, would hide the end of every child.
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
        // SAFETY: a new descriptor that nobody else owns.
        Ok(Signals(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// In a forked child: a signalfd tells each reader of its own signals, so there is nothing to renew.
    pub fn after_fork(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Forgets what was told so far.
    pub fn drain(&self) {
        // Once is enough: the same signal waits only once.
        let _ = rustix::io::read(&self.0, &mut [0u8; 512]);
    }
}

/// Gives every signal its default again, those that the C library keeps for itself, too: whoever started devstack may
/// have left them ignored.
pub(super) fn default_signals() {
    /// The first real-time signal less one, and so many of those.
    const LAST: libc::c_int = 64;
    // Larger than the kernel's structure anywhere, and in all of them zeroes mean the default.
    let default = [0_u64; 8];
    for signal in 1..=LAST {
        // SAFETY: only reads from `default`. The two signals that have no other disposition answer with an error.
        unsafe {
            let (new, old) = (default.as_ptr(), std::ptr::null_mut::<u64>());
            libc::syscall(libc::SYS_rt_sigaction, signal, new, old, size_of::<u64>());
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Whether the group of a reaped main process still has members that are nobody's children here.
/// Never on Linux: every orphan becomes a child, so no children means nothing left.
pub(super) fn group_lives(_group: u32) -> bool {
    false
}

/// Nothing to do: what a dead keeper left has become the guard's.
pub(super) fn kill_group(_main: u32) {}

/// Kills a child of this process.
pub(super) fn kill_one(child: u32) {
    // SAFETY: numbers only.
    unsafe { libc::kill(child.cast_signed(), libc::SIGKILL) };
}

/// The children of a process, of all its threads. Empty when it is gone.
pub(super) fn children(pid: u32) -> Vec<u32> {
    listed_children(pid).unwrap_or_else(|| children_by_scan(pid))
}

/// The same; `None` on kernels that do not list children.
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

/// How often a list of threads is read at most: a program that ends some all the time has no list that is whole.
const LISTINGS: u32 = 8;

/// The threads of a process. When the one that it has come to ends, the kernel ends the list there, so a list that is
/// too short is read again.
fn threads(pid: u32) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for _ in 0..LISTINGS {
        let Ok(entries) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
        found = entries.flatten().map(|entry| entry.path()).collect();
        if load(pid).is_none_or(|load| found.len() as u64 >= load.threads) {
            break;
        }
    }
    found
}

/// The same on kernels without `/proc/PID/task/TID/children`.
fn children_by_scan(parent: u32) -> Vec<u32> {
    let is_child = |pid: &u32| load(*pid).is_some_and(|load| load.parent == parent);
    processes().into_iter().filter(is_child).collect()
}

/// `/proc/PID/stat`: `pid (name) state parent group …`, its words counted from 1. The name may hold anything, brackets too.
struct Stat<'a> {
    name: &'a [u8],
    /// From the state on, which is the third, as far as they are looked at.
    words: Vec<&'a str>,
}

impl<'a> Stat<'a> {
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

    fn read(stat: &'a [u8]) -> Option<Stat<'a>> {
        let open = memchr::memchr(b'(', stat)?;
        let close = memchr::memrchr(b')', stat)?;
        let name = stat.get(open + 1..close)?;
        let rest = std::str::from_utf8(stat.get(close + 1..)?).ok()?;
        let words = rest.split_ascii_whitespace().take(Stat::RESIDENT_PAGES + 1 - Stat::STATE);
        Some(Stat { name, words: words.collect() })
    }

    fn word(&self, number: usize) -> Option<&'a str> {
        self.words.get(number - Stat::STATE).copied()
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

/// What is known of a process; `None` when it is gone.
pub(super) fn look(pid: u32) -> Option<Proc> {
    with_short(&format!("/proc/{pid}/stat"), parse_stat)?
}

fn parse_stat(stat: &[u8]) -> Option<Proc> {
    let stat = Stat::read(stat)?;
    let dead = matches!(stat.word(Stat::STATE)?, "Z" | "X");
    // When the first thread has ended and others have not, they hold what it had open.
    let zombie = dead && stat.number::<u64>(Stat::THREADS)? <= 1;
    Some(Proc {
        name: String::from_utf8_lossy(stat.name).into_owned(),
        parent: stat.number(Stat::PARENT)?,
        group: stat.number(Stat::GROUP)?,
        born: stat.number(Stat::BORN)?,
        zombie,
    })
}

/// What a process has used; `None` when it is gone.
pub(super) fn load(pid: u32) -> Option<Load> {
    with_short(&format!("/proc/{pid}/stat"), parse_load)?
}

/// Reads a file of `/proc` that is short as a rule, in one piece: `fs::read` asks for its length first and for more
/// afterwards, which are half of what a look costs.
fn with_short<T>(path: &str, read: impl FnOnce(&[u8]) -> T) -> Option<T> {
    /// Longer than any `stat`, and than most lists.
    const SHORT: usize = 4096;
    /// The kernel leaves out what would not fit whole: a number and a blank.
    const LAST: usize = 32;
    let mut bytes = [0; SHORT];
    let length = fs::File::open(path).ok()?.read(&mut bytes).ok()?;
    match length + LAST > SHORT {
        true => Some(read(&fs::read(path).ok()?)),
        false => Some(read(&bytes[..length])),
    }
}

fn parse_load(stat: &[u8]) -> Option<Load> {
    let stat = Stat::read(stat)?;
    let pages: u64 = stat.number(Stat::RESIDENT_PAGES)?;
    Some(Load {
        parent: stat.number(Stat::PARENT)?,
        cpu: stat.time(Stat::USER_TIME)? + stat.time(Stat::SYSTEM_TIME)?,
        reaped: stat.time(Stat::REAPED_USER_TIME)? + stat.time(Stat::REAPED_SYSTEM_TIME)?,
        threads: stat.number(Stat::THREADS)?,
        memory: pages.saturating_mul(rustix::param::page_size() as u64),
    })
}

/// Who is whose child. Where the kernel does not list children, one look at all processes serves for as long as this
/// lives.
#[derive(Default)]
pub(super) struct Kinship {
    all: Option<BTreeMap<u32, Vec<u32>>>,
}

impl Kinship {
    /// The children of a process with so many threads. Empty when it is gone.
    pub fn children(&mut self, pid: u32, threads: u64) -> Vec<u32> {
        if let Some(all) = &self.all {
            return all.get(&pid).cloned().unwrap_or_default();
        }
        // To read the list of threads costs as much as the rest of the look.
        let listed = if threads == 1 { children_of_thread(pid, pid) } else { None };
        if let Some(listed) = listed.or_else(|| listed_children(pid)) {
            return listed;
        }
        let all = self.all.insert(BTreeMap::new());
        for child in processes() {
            if let Some(load) = load(child) {
                all.entry(load.parent).or_default().push(child);
            }
        }
        all.get(&pid).cloned().unwrap_or_default()
    }
}

/// The children that a thread has started.
fn children_of_thread(pid: u32, thread: u32) -> Option<Vec<u32>> {
    with_short(&format!("/proc/{pid}/task/{thread}/children"), |list| {
        let list = std::str::from_utf8(list).unwrap_or_default();
        list.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect()
    })
}

/// The numbers of all processes that can be seen.
pub(super) fn processes() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Since when, and for whom, process numbers mean what they mean: the boot and the number space, which
/// differs between a machine and its containers.
pub(super) fn era() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let space = fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{} {}", boot.trim(), space.display()))
}

/// A variable of the environment that a process was started with, if this user may see it.
pub(super) fn variable(pid: u32, name: &str) -> Option<Vec<u8>> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let value =
        |entry: &[u8]| Some(entry.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?.to_vec());
    environment.split(|byte| *byte == 0).find_map(value)
}

/// How long a wait lasts where processes cannot be pinned, and so not be waited for.
const UNPINNED_WAIT: Duration = Duration::from_millis(5);

/// The most processes that are waited for at once: one of them is enough.
const MAX_WAIT: usize = 64;

/// Waits until one of these processes, which are no children, has ended, at most so long. May return early.
pub(super) fn wait_for_one(pids: &[u32], limit: Duration) {
    let pin = |pid: &u32| {
        let pid = rustix::process::Pid::from_raw(pid.cast_signed())?;
        pidfd_open(pid, PidfdFlags::empty()).ok()
    };
    let pinned: Vec<OwnedFd> = pids.iter().take(MAX_WAIT).map_while(pin).collect();
    let limit = match pinned.is_empty() {
        true if pins() => return,
        true => UNPINNED_WAIT.min(limit),
        false => limit,
    };
    let mut fds: Vec<PollFd<'_>> = pinned.iter().map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
    let limit = Timespec { tv_sec: limit.as_secs() as i64, tv_nsec: limit.subsec_nanos().into() };
    // An interrupted wait is a short one.
    let _ = poll(&mut fds, Some(&limit));
}

/// Whether the kernel has pidfds and lets this process have them.
pub(super) fn pins() -> bool {
    pidfd_open(rustix::process::getpid(), PidfdFlags::empty()).is_ok_and(|me| send(&me, 0))
}

/// Whether `/proc` shows this process and those below it: it may be missing, or be that of another space of numbers.
pub(super) fn sees_itself() -> bool {
    let me = std::process::id().to_string();
    fs::read_link("/proc/self").is_ok_and(|shown| shown.as_os_str() == me.as_str())
}

/// Signals a process that may be anybody's by now: the process is pinned first, then looked at, and
/// signalled only if `ours` accepts it.
pub(super) fn signal_checked(pid: u32, signal: i32, ours: impl Fn(&Proc) -> bool) {
    let Some(raw) = rustix::process::Pid::from_raw(pid.cast_signed()) else { return };
    let Ok(pinned) = pidfd_open(raw, PidfdFlags::empty()) else { return };
    if look(pid).is_some_and(|p| ours(&p)) {
        // An error means that it is gone.
        let _ = send(&pinned, signal);
    }
}

/// Sends a signal to a pinned process; 0 only asks whether that may be done. Whether it was sent.
fn send(pinned: &OwnedFd, signal: i32) -> bool {
    let info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: a live pidfd, numbers, no siginfo.
    unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pinned.as_raw_fd(), signal, info, 0) == 0 }
}

/// Resolves when a child of this process has ended, or at once when that cannot be waited for.
pub(super) async fn ended(child: u32) {
    use rustix::process::Pid;

    let pid = i32::try_from(child).ok().and_then(Pid::from_raw);
    let Some(Ok(fd)) = pid.map(|pid| pidfd_open(pid, PidfdFlags::empty())) else { return };
    if let Ok(fd) = super::steady::wait_for(fd, tokio::io::Interest::READABLE) {
        // Readable means ended; an error means that it cannot be waited for.
        let _ = fd.readable().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_blanks_is_read_whole() {
        let stat = b"42 (a) Z (b c) S 7 40 40 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 31337 99";
        let name = "a) Z (b c".to_owned();
        let expected = Proc { name, parent: 7, group: 40, born: 31337, zombie: false };
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
        let load = parse_load(stat).expect("it is whole");
        assert_eq!((load.parent, load.threads), (7, 5));
        assert_eq!(load.memory, 12 * rustix::param::page_size() as u64);
        // Ticks of 10 ms nearly everywhere.
        assert_eq!(load.cpu / 300, load.reaped / 10);
        for broken in [&b""[..], b"42 (x", b"42 (x) S 1 1 1 0 -1"] {
            assert_eq!(parse_load(broken), None);
        }
    }

    #[test]
    fn a_list_of_any_length_is_read_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("list");
        for length in [0, 1, 4000, 4064, 4065, 4096, 10_000] {
            fs::write(&file, vec![b'1'; length]).expect("it is ours");
            assert_eq!(with_short(file.to_str().expect("text"), <[u8]>::len), Some(length));
        }
    }

    #[test]
    fn kinship_is_the_same_listed_and_scanned() {
        let mut child =
            std::process::Command::new("sleep").arg("60").spawn().expect("sleep exists");
        let me = std::process::id();
        let scanned = Kinship { all: Some(BTreeMap::from([(me, vec![child.id()])])) };
        for mut kinship in [Kinship::default(), scanned] {
            assert!(kinship.children(me, 2).contains(&child.id()));
        }
        child.kill().expect("it is our child");
        child.wait().expect("it is our child");
    }

    #[test]
    fn the_scan_finds_what_the_children_file_says() {
        let mut child =
            std::process::Command::new("sleep").arg("60").spawn().expect("sleep exists");
        let me = std::process::id();
        assert!(children(me).contains(&child.id()));
        assert!(children_by_scan(me).contains(&child.id()));
        child.kill().expect("it is our child");
        child.wait().expect("it is our child");
    }
}
