//! The one room that opens files to read, and `atomic_file` the one that opens them to write: another user or a
//! repository may have prepared a link, a pipe or a device at the path, which must not lead elsewhere or block.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::geteuid;

/// Opens the regular file that a path leads to, through links if there are some. Never blocks.
///
/// # Errors
/// See [`open_regular`].
pub(crate) fn open_linked(path: &Path) -> io::Result<File> {
    only_regular(open_at_once(path, OFlags::empty())?)
}

/// Reads the regular file that a path leads to, or its first `max` bytes if it is longer.
///
/// # Errors
/// See [`open_regular`].
pub(crate) fn read_linked(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_linked(path)?.take(max).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads an open file of at most `max` bytes as UTF-8.
///
/// # Errors
/// [`io::ErrorKind::FileTooLarge`], or [`io::ErrorKind::InvalidData`] when it is not UTF-8.
pub(crate) fn read_text(file: File, max: u64) -> io::Result<String> {
    let mut text = Vec::new();
    file.take(max + 1).read_to_end(&mut text)?;
    if text.len() as u64 > max {
        let (size, unit) = if max < 1 << 20 { (max >> 10, "KiB") } else { (max >> 20, "MiB") };
        let text = format!("it is larger than {size} {unit}");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    String::from_utf8(text)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}

/// Reads the text of a file of `/proc`, or its first `max` bytes. `None`: there is none.
pub(crate) fn read_proc(path: impl AsRef<Path>, max: u64) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(max).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Returns random bytes.
///
/// # Errors
/// The system has none.
pub(crate) fn random_bytes<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Opens the null device for reading: a descriptor to have one.
pub(crate) fn open_null() -> io::Result<File> {
    File::open("/dev/null")
}

/// Opens a regular file for reading. Never blocks, and follows no link in the last component.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] when it is not a regular file.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    match open_at_once(path, OFlags::NOFOLLOW) {
        Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => Err(no_file()),
        opened => only_regular(opened?),
    }
}

/// Opens a lock file of this user. With `create`, for writing too, and a missing one is created. A link
/// is an error: what it leads to would be written.
pub(crate) fn open_lock(path: &Path, create: bool) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    OpenOptions::new()
        .read(true)
        .write(create)
        .create(create)
        .truncate(false)
        .mode(0o600)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
}

/// Opens a directory.
pub(crate) fn open_dir(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?.into())
}

/// Without NONBLOCK, opening a pipe waits for a writer.
fn open_at_once(path: &Path, flags: OFlags) -> io::Result<File> {
    let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY;
    OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)
}

fn only_regular(file: File) -> io::Result<File> {
    if file.metadata()?.is_file() { Ok(file) } else { Err(no_file()) }
}

fn no_file() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")
}

/// Checks that directories, each in the one before and the first in `top`, belong to this user and are
/// reached through no link. What does not exist or cannot be read is not checked further. Root may use
/// those of every user.
///
/// # Errors
/// The path of another one, and what it is.
pub(crate) fn require_own_dirs<'a>(
    top: &Path,
    names: impl Iterator<Item = &'a OsStr>,
) -> Result<(), (PathBuf, String)> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(mut dir) = rustix::fs::openat(CWD, top, flags, Mode::empty()) else { return Ok(()) };
    let mut path = top.to_owned();
    for name in names {
        path.push(name);
        dir = match rustix::fs::openat(&dir, name, flags | OFlags::NOFOLLOW, Mode::empty()) {
            Ok(next) => next,
            // Linux reports a link that must be a directory as something else.
            Err(Errno::LOOP | Errno::NOTDIR | Errno::MLINK) => {
                let what = match rustix::fs::readlinkat(&dir, name, Vec::new()) {
                    Ok(target) => {
                        let target = Path::new(OsStr::from_bytes(target.as_bytes()));
                        format!("is a link to {}", target.display())
                    }
                    Err(_) => "is not a directory".to_owned(),
                };
                return Err((path, what));
            }
            Err(_) => return Ok(()),
        };
        let Ok(found) = rustix::fs::fstat(&dir) else { return Ok(()) };
        let user = geteuid();
        if !user.is_root() && found.st_uid != user.as_raw() {
            return Err((path, format!("is owned by user {}", found.st_uid)));
        }
    }
    Ok(())
}
