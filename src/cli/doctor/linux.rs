//! Linux: `/proc` and `/proc/sys`.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use rustix::process::{Resource, geteuid, getrlimit};

use super::facts::{LimitUsage, ProcessVisibility};
use crate::process;
use crate::regular_file::read_proc;

/// Largest file of `/proc` to read, in bytes.
const MAX_PROC: u64 = 16 * 1024 * 1024;

pub(super) fn watches() -> Option<LimitUsage> {
    let most = number("/proc/sys/fs/inotify/max_user_watches")?;
    let watches =
        |info: String| info.lines().filter(|line| line.starts_with("inotify wd:")).count();
    let counts = inotify().filter_map(|file| read_proc(file, MAX_PROC)).map(watches);
    Some(LimitUsage { used: counts.sum::<usize>() as u64, most: Some(most) })
}

pub(super) fn watchers() -> Option<LimitUsage> {
    let most = number("/proc/sys/fs/inotify/max_user_instances")?;
    Some(LimitUsage { used: inotify().count() as u64, most: Some(most) })
}

/// Returns the fdinfo path of each inotify instance of this user.
fn inotify() -> impl Iterator<Item = PathBuf> {
    own_processes().flat_map(|process| {
        let files = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
        let is = |entry: &fs::DirEntry| {
            fs::read_link(entry.path())
                .is_ok_and(|target| target.as_os_str() == "anon_inode:inotify")
        };
        let info = move |entry: fs::DirEntry| process.join("fdinfo").join(entry.file_name());
        files.filter(is).map(info).collect::<Vec<_>>()
    })
}

fn own_processes() -> impl Iterator<Item = PathBuf> {
    let me = geteuid().as_raw();
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    all.filter(|entry| entry.file_name().to_string_lossy().parse::<u32>().is_ok())
        .filter(move |entry| entry.metadata().is_ok_and(|data| data.uid() == me))
        .map(|entry| entry.path())
}

/// Returns the use of processes and threads by this user. Root has no limit.
pub(super) fn processes() -> Option<LimitUsage> {
    let threads = |process: PathBuf| {
        fs::metadata(process.join("task")).map_or(0, |data| data.nlink().saturating_sub(2))
    };
    let most = getrlimit(Resource::Nproc).current.filter(|_| !geteuid().is_root());
    Some(LimitUsage { used: own_processes().map(threads).sum(), most })
}

/// Returns which processes are visible, by the mount options of `/proc`.
pub(super) fn process_visibility() -> ProcessVisibility {
    if !process::proc_is_mounted() {
        return ProcessVisibility::Nothing;
    }
    let table = read_proc("/proc/self/mountinfo", MAX_PROC).unwrap_or_default();
    match hidden(&table) {
        Some(option) if !geteuid().is_root() => ProcessVisibility::Own(option),
        Some(_) | None => ProcessVisibility::All,
    }
}

/// Returns the option of the last mount on /proc that hides other users' processes.
fn hidden(table: &str) -> Option<String> {
    let mount =
        table.lines().filter_map(MountInfoLine::read).rfind(|mount| mount.place == "/proc")?;
    let hides = |option: &&str| {
        option.starts_with("hidepid=") && !matches!(*option, "hidepid=0" | "hidepid=off")
    };
    mount.options.split(',').find(hides).map(str::to_owned)
}

struct MountInfoLine<'a> {
    place: &'a str,
    /// Options of the file system itself.
    options: &'a str,
}

impl MountInfoLine<'_> {
    /// Parses a line such as `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw`.
    fn read(line: &str) -> Option<MountInfoLine<'_>> {
        let (before, after) = line.split_once(" - ")?;
        Some(MountInfoLine { place: before.split(' ').nth(4)?, options: after.split(' ').nth(2)? })
    }
}

fn number(path: &str) -> Option<u64> {
    read_proc(path, MAX_PROC)?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{hidden, watchers, watches};

    const TABLE: &str = "\
22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
23 22 0:5 / /proc rw,nosuid - proc proc rw,hidepid=invisible
24 22 0:9 / /home/a\\040b rw shared:1 - nfs4 host:/x rw,vers=4
nonsense
26 22 0:11 / /short rw -
";

    #[test]
    fn mounts_are_read() {
        assert_eq!(hidden(TABLE).as_deref(), Some("hidepid=invisible"));
        let off = TABLE.replace("invisible", "0");
        assert_eq!(hidden(&off), None);
        assert_eq!(hidden(""), None);
    }

    #[test]
    fn what_this_process_watches_is_counted() {
        use notify::{RecursiveMode, Watcher};
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut watcher = notify::recommended_watcher(|_| {}).expect("a watcher");
        watcher.watch(dir.path(), RecursiveMode::NonRecursive).expect("a watch");
        let (watches, watchers) = (watches().expect("known"), watchers().expect("known"));
        assert!(watches.used >= 1 && watchers.used >= 1, "{watches:?} {watchers:?}");
        assert!(watches.most >= Some(watches.used));
    }
}
