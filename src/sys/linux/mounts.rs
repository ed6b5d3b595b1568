use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};

use crate::sys::mount_entry::MountEntry;

const MOUNTINFO: &str = "/proc/self/mountinfo";

/// Reads the mount table. Of several mounts on one path the last counts: it hides the others.
pub(crate) fn mounts() -> BTreeMap<PathBuf, MountEntry> {
    let table = std::fs::read(MOUNTINFO).unwrap_or_default();
    table.split(|byte| *byte == b'\n').filter_map(read_line).collect()
}

/// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw`: id, …, mount point, …, `-`,
/// file system type, ….
fn read_line(line: &[u8]) -> Option<(PathBuf, MountEntry)> {
    let mut words = line.split(|byte| *byte == b' ');
    let id = std::str::from_utf8(words.next()?).ok()?.parse().ok()?;
    let place = unescape(words.nth(3)?);
    words.find(|word| *word == b"-")?;
    let kind = String::from_utf8_lossy(words.next()?).into_owned();
    Some((PathBuf::from(place), MountEntry { id, kind }))
}

/// The kernel escapes blanks, newlines and backslashes as three octal digits.
fn unescape(word: &[u8]) -> OsString {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((&first, tail)) = rest.split_first() {
        let digits = tail.get(..3).filter(|_| first == b'\\');
        let code = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|code| u8::from_str_radix(code, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[3..];
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    OsString::from_vec(bytes)
}

/// Starts a thread that calls `changed` after each change of the mounts until the returned descriptor is dropped.
/// `None` when that is impossible.
pub(crate) fn watch_mounts(changed: impl Fn() + Send + 'static) -> Option<OwnedFd> {
    let table = File::open(MOUNTINFO).ok()?;
    let (end, hold) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).ok()?;
    let work = move || {
        loop {
            let mut fds =
                [PollFd::new(&table, PollFlags::PRI), PollFd::new(&end, PollFlags::empty())];
            match poll(&mut fds, None) {
                Err(rustix::io::Errno::INTR) => continue,
                Err(_) => return,
                Ok(_) if !fds[1].revents().is_empty() => return,
                Ok(_) => changed(),
            }
        }
    };
    thread::Builder::new().name("mounts".into()).spawn(work).ok()?;
    Some(hold)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_table_are_read() {
        let read = |line: &str| read_line(line.as_bytes());
        let line = "36 35 98:0 /m1 /mnt\\0402\\134x rw,noatime master:1 shared:2 - nfs4 srv:/x rw";
        let mount = MountEntry { id: 36, kind: "nfs4".into() };
        assert_eq!(read(line), Some((PathBuf::from("/mnt 2\\x"), mount)));
        for bad in
            ["", "36", "x 35 98:0 /m1 /mnt - ext4 /dev rw", "36 35 98:0 /m1 /mnt rw", "1 2 3 4 5 -"]
        {
            assert_eq!(read(bad), None, "{bad}");
        }
        assert_eq!(unescape(b"a\\04"), "a\\04");
        assert_eq!(unescape(b"a\\999"), "a\\999");
    }

    #[test]
    fn thread_ends_with_its_descriptor() {
        let (held, seen) = std::sync::mpsc::channel::<()>();
        let callback = move || held.send(()).expect("the test waits");
        drop(watch_mounts(callback).expect("/proc is mounted"));
        // The thread drops its callback, and with it the sender, when it ends.
        let ended = loop {
            if let Err(why) = seen.recv_timeout(std::time::Duration::from_secs(20)) {
                break why;
            }
        };
        assert_eq!(ended, std::sync::mpsc::RecvTimeoutError::Disconnected);
    }
}
