//! Opens files and directories that another user may have prepared: a link, a pipe or a device at the path must not
//! lead elsewhere or block.

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
    open_regular(&std::fs::canonicalize(path)?)
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

/// Reads the text of a file of `/proc`, or its first `max` bytes. `None`: there is none.
pub(crate) fn read_proc(path: &Path, max: u64) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(max).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Opens a regular file for reading. Never blocks, and follows no link in the last component.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] when it is not a regular file.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    // Without NONBLOCK, opening a pipe waits for a writer.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    let other = || io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file");
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
            return Err(other());
        }
        opened => opened?,
    };
    if file.metadata()?.is_file() { Ok(file) } else { Err(other()) }
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
