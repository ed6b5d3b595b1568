//! What libproc and sysctl show of processes: those of this user.

use std::ffi::{CStr, c_int};
use std::io;
use std::mem::MaybeUninit;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::model::SurvivorState;
use crate::sys::process_stat::{ProcessStat, ProcessUsage};

/// Far above what a development stack has.
const MAX_CHILDREN: usize = 4096;

const LONGEST_COMMAND_LINE: usize = 64 * 1024;

/// Lists the children of this process.
#[derive(Debug)]
pub(crate) struct ChildList;

impl ChildList {
    pub fn open() -> ChildList {
        ChildList
    }

    /// Always succeeds on macOS.
    pub fn read(&mut self) -> Option<Vec<u32>> {
        Some(children(std::process::id()))
    }
}

/// Lists the children of a process; empty when it is gone.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let mut list = vec![0 as libc::pid_t; MAX_CHILDREN];
    let bytes = (list.len() * size_of::<libc::pid_t>()) as libc::c_int;
    // SAFETY: the buffer has the length that is passed.
    let count =
        unsafe { libc::proc_listchildpids(pid.cast_signed(), list.as_mut_ptr().cast(), bytes) };
    list.truncate(usize::try_from(count).unwrap_or(0).min(MAX_CHILDREN));
    list.into_iter().filter_map(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0).collect()
}

/// Reads one process; `None` when it is gone or belongs to another user.
pub(crate) fn process_stat(pid: u32) -> Option<ProcessStat> {
    let info = bsd_info(pid)?;
    let long = text(info.pbi_name.map(i8::cast_unsigned).as_slice());
    let short = || text(info.pbi_comm.map(i8::cast_unsigned).as_slice());
    Some(ProcessStat {
        name: if long.is_empty() { short() } else { long },
        parent: info.pbi_ppid,
        group: info.pbi_pgid,
        born: info.pbi_start_tvsec * 1_000_000 + info.pbi_start_tvusec,
        zombie: info.pbi_status == libc::SZOMB,
    })
}

/// Finds out what keeps a process from ending, as far as the system shows it.
pub(crate) fn survivor_state(pid: u32) -> SurvivorState {
    match bsd_info(pid).map(|info| info.pbi_status) {
        Some(libc::SSTOP) => SurvivorState::Stopped,
        Some(_) | None => SurvivorState::Other(None),
    }
}

fn bsd_info(pid: u32) -> Option<libc::proc_bsdinfo> {
    // SAFETY: a structure of integers.
    unsafe { info(pid, libc::PROC_PIDTBSDINFO) }
}

fn task_info(pid: u32) -> Option<libc::proc_taskinfo> {
    // SAFETY: a structure of integers.
    unsafe { info(pid, libc::PROC_PIDTASKINFO) }
}

/// Reads one of libproc's structures.
///
/// # Safety
/// Every bit pattern must be valid for `T`.
unsafe fn info<T>(pid: u32, flavor: c_int) -> Option<T> {
    let pid = c_int::try_from(pid).ok()?;
    let mut info = MaybeUninit::<T>::zeroed();
    let size = c_int::try_from(size_of::<T>()).ok()?;
    // SAFETY: the buffer has `size` bytes.
    let written = unsafe { libc::proc_pidinfo(pid, flavor, 0, info.as_mut_ptr().cast(), size) };
    // SAFETY: the caller knows that every bit pattern is valid.
    (written == size).then(|| unsafe { info.assume_init() })
}

/// Reads what a process has used; `None` when it is gone. Does not include its exited children.
pub(crate) fn process_usage(pid: u32) -> Option<ProcessUsage> {
    let info = task_info(pid)?;
    Some(ProcessUsage {
        parent: bsd_info(pid)?.pbi_ppid,
        cpu: ticks_to_duration(info.pti_total_user.saturating_add(info.pti_total_system)),
        reaped: Duration::ZERO,
        threads: u64::try_from(info.pti_threadnum).unwrap_or(1),
        memory: info.pti_resident_size,
    })
}

pub(crate) fn own_threads() -> io::Result<u64> {
    let info = task_info(std::process::id()).ok_or_else(io::Error::last_os_error)?;
    Ok(u64::try_from(info.pti_threadnum).unwrap_or(u64::MAX))
}

pub(crate) fn uid_of(pid: u32) -> Option<u32> {
    Some(bsd_info(pid)?.pbi_uid)
}

pub(crate) fn age(process: &ProcessStat) -> Option<Duration> {
    let start = SystemTime::UNIX_EPOCH + Duration::from_micros(process.born);
    SystemTime::now().duration_since(start).ok()
}

pub(crate) fn cwd_of(pid: u32) -> Option<PathBuf> {
    // SAFETY: a structure of integers.
    let info: libc::proc_vnodepathinfo = unsafe { info(pid, libc::PROC_PIDVNODEPATHINFO) }?;
    let path: Vec<u8> =
        info.pvi_cdir.vip_path.iter().flatten().map(|c| c.cast_unsigned()).collect();
    Some(PathBuf::from(text(&path))).filter(|path| path.is_absolute())
}

/// Returns the words of a process's command line.
pub(crate) fn command_line_of(pid: u32) -> Vec<String> {
    arguments(pid).0
}

/// Not supported on macOS: only recorded processes and their descendants are found again.
pub(crate) fn env_var_of(_pid: u32, _name: &str) -> Option<String> {
    None
}

/// Returns variables of a process's initial environment, as far as the system shows it.
pub(crate) fn env_vars_of<const N: usize>(pid: u32, names: [&str; N]) -> [Option<String>; N] {
    let entries = arguments(pid).1;
    names.map(|name| {
        let value = |entry: &String| Some(entry.strip_prefix(name)?.strip_prefix('=')?.to_owned());
        entries.iter().find_map(value)
    })
}

/// Converts Mach ticks, which are not nanoseconds on every machine.
fn ticks_to_duration(ticks: u64) -> Duration {
    /// `denominator` ticks take `nanos` nanoseconds.
    #[repr(C)]
    struct Timebase {
        nanos: u32,
        denominator: u32,
    }
    unsafe extern "C" {
        fn mach_timebase_info(info: *mut Timebase) -> libc::c_int;
    }
    let mut base = Timebase { nanos: 1, denominator: 1 };
    // SAFETY: writes two numbers to `base`.
    unsafe { mach_timebase_info(&raw mut base) };
    let nanos = u128::from(ticks) * u128::from(base.nanos) / u128::from(base.denominator.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// Children of each process, listed on every call.
#[derive(Default)]
pub(crate) struct ChildIndex;

impl ChildIndex {
    /// Lists the children of a process; empty when it is gone.
    pub fn children(&mut self, pid: u32, _threads: u64) -> Vec<u32> {
        children(pid)
    }
}

pub(crate) fn processes() -> Vec<u32> {
    // SAFETY: without a buffer nothing is written; the result is the number of processes.
    let count = unsafe { libc::proc_listallpids(std::ptr::null_mut(), 0) };
    // Leave room for processes that start in between.
    let mut pids = vec![0_i32; usize::try_from(count).unwrap_or(0) + 64];
    let size = c_int::try_from(size_of_val(pids.as_slice())).unwrap_or(c_int::MAX);
    // SAFETY: the buffer has `size` bytes.
    let count = unsafe { libc::proc_listallpids(pids.as_mut_ptr().cast(), size) };
    pids.truncate(usize::try_from(count).unwrap_or(0));
    pids.into_iter().filter_map(|pid| u32::try_from(pid).ok()).collect()
}

/// Identifies this boot: pids of another one mean nothing.
pub(crate) fn boot_id() -> Option<String> {
    let mut text = [0u8; 64];
    let mut length = text.len();
    // SAFETY: the name is NUL-terminated, and the buffer has the length that is passed.
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

/// Returns the arguments and the environment from `KERN_PROCARGS2`: a count, the program's path,
/// zeros, the arguments, then the environment up to an empty entry.
fn arguments(pid: u32) -> (Vec<String>, Vec<String>) {
    let Ok(pid) = c_int::try_from(pid) else { return Default::default() };
    let mut name = [libc::CTL_KERN, libc::KERN_PROCARGS2, pid];
    let mut bytes = vec![0_u8; LONGEST_COMMAND_LINE];
    let mut size = bytes.len();
    let null = std::ptr::null_mut();
    // SAFETY: the name has three parts and the buffer has `size` bytes.
    let code = unsafe {
        libc::sysctl(name.as_mut_ptr(), 3, bytes.as_mut_ptr().cast(), &raw mut size, null, 0)
    };
    if code != 0 {
        return Default::default();
    }
    bytes.truncate(size);
    let Some((count, rest)) = bytes.split_first_chunk::<4>() else { return Default::default() };
    let count = usize::try_from(i32::from_ne_bytes(*count)).unwrap_or(0);
    let mut parts = rest.split(|byte| *byte == 0).skip(1).skip_while(|part| part.is_empty());
    let words = parts.by_ref().take(count).map(text).collect();
    (words, parts.take_while(|part| !part.is_empty()).map(text).collect())
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}
