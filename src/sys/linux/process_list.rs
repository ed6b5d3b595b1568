//! What `/proc` shows of processes.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use crate::sys::process_stat::{ProcessStat, ProcessUsage};

/// Lists the children of all threads of a process; empty when it is gone.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    listed_children(pid).unwrap_or_else(|| children_by_scan(pid))
}

/// Lists the children of this process, which has one thread, without opening anything: a process at
/// its limit of open files must not take its children for gone.
#[derive(Debug)]
pub(crate) struct ChildList {
    /// `None` on kernels without the file.
    file: Option<fs::File>,
}

impl ChildList {
    pub fn open() -> ChildList {
        let me = std::process::id();
        ChildList { file: fs::File::open(format!("/proc/self/task/{me}/children")).ok() }
    }

    /// `None` if they cannot be listed at the moment.
    pub fn read(&mut self) -> Option<Vec<u32>> {
        let Some(file) = &mut self.file else {
            let children = children_by_scan(std::process::id());
            // The scan missed some if it could not open files.
            return fs::File::open("/proc/self/stat").is_ok().then_some(children);
        };
        let mut list = String::new();
        file.seek(SeekFrom::Start(0)).ok()?;
        file.read_to_string(&mut list).ok()?;
        Some(list.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect())
    }
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

/// Returns the letter that stands for what a process does; `None` when it is gone.
pub(super) fn state_letter(pid: u32) -> Option<char> {
    let letter = |stat: &[u8]| StatFields::read(stat)?.word(StatFields::STATE)?.chars().next();
    with_short(&format!("/proc/{pid}/stat"), letter)?
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
pub(crate) fn env_var_of(pid: u32, name: &str) -> Option<String> {
    let [value] = env_vars_of(pid, [name]);
    value
}

/// Returns several of them.
pub(crate) fn env_vars_of<const N: usize>(pid: u32, names: [&str; N]) -> [Option<String>; N] {
    /// A quarter of the stack size, which is usually 8 MiB, is what the kernel allows.
    const LARGEST: u64 = 2 * 1024 * 1024;
    let bytes = read_start(&format!("/proc/{pid}/environ"), LARGEST);
    names.map(|name| {
        let value = |entry: &[u8]| {
            let value = entry.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
            Some(String::from_utf8_lossy(value).into_owned())
        };
        bytes.split(|byte| *byte == 0).find_map(value)
    })
}

/// Returns the words of a process's command line, the first kilobytes of them.
pub(crate) fn command_line_of(pid: u32) -> Vec<String> {
    /// More than is ever shown.
    const LONGEST: u64 = 4_096;
    let bytes = read_start(&format!("/proc/{pid}/cmdline"), LONGEST);
    let words = bytes.split(|byte| *byte == 0).filter(|word| !word.is_empty());
    words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// Reads the start of a file; empty when it cannot be read.
fn read_start(path: &str, limit: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Ok(file) = fs::File::open(path) {
        // What was read before an error is still right.
        let _ = file.take(limit).read_to_end(&mut bytes);
    }
    bytes
}

pub(crate) fn uid_of(pid: u32) -> Option<u32> {
    Some(fs::metadata(format!("/proc/{pid}")).ok()?.uid())
}

/// Returns the working directory of a process, if this user may see it.
pub(crate) fn cwd_of(pid: u32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/cwd")).ok()
}

pub(crate) fn age(process: &ProcessStat) -> Option<Duration> {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime).tv_sec;
    let born = process.born.checked_div(rustix::param::clock_ticks_per_second())?;
    Some(Duration::from_secs(u64::try_from(now).ok()?.saturating_sub(born)))
}

pub(crate) fn own_threads() -> io::Result<u64> {
    let stat = fs::read("/proc/self/stat")?;
    let threads = StatFields::read(&stat).and_then(|stat| stat.number(StatFields::THREADS));
    threads.ok_or_else(|| io::Error::other("/proc/self/stat does not count threads"))
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let dir = tempfile::tempdir().expect("temp dir");
        let file = dir.path().join("list");
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
