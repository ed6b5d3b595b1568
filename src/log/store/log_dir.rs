use std::fs::{DirBuilder, File};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::{io, thread};

use rustix::fs::{AtFlags, Mode, OFlags};

use crate::atomic_file::make_state_dir_of;
use crate::log::lock_unpoisoned;
use crate::log::log_source::LogSource;
use crate::model::{DirMove, Name, StartId};

/// The file with the id of the start whose log this is.
const START: &str = "start";

/// Bytes of it that are read.
const MAX_START: u64 = 64;

/// The directory with the log files of one stack. Files are reached only through its descriptor and
/// never through a symlink, so the log cannot be redirected to another file. If it is removed, the
/// next new file creates it again.
pub(crate) struct LogDir {
    path: Mutex<PathBuf>,
    fd: Mutex<Arc<OwnedFd>>,
    /// Names to remove; `Some` while a thread is removing files.
    removal_queue: Mutex<Option<Vec<String>>>,
}

impl LogDir {
    /// Creates the directory for this user only and opens it. An existing one replaces `PATH.1`.
    pub fn create(path: &Path) -> io::Result<LogDir> {
        let first = DirBuilder::new().recursive(true).mode(0o700).create(path);
        let dir = first.and_then(|()| LogDir::open(path))?;
        if dir.sources()?.is_empty() {
            return Ok(dir);
        }
        let with = |end: &str| {
            let mut path = path.as_os_str().to_owned();
            path.push(end);
            PathBuf::from(path)
        };
        let (last, older) = (with(".1"), with(".2"));
        // The removal thread of an earlier start may not have finished.
        remove_dir(&older)?;
        match std::fs::rename(&last, &older) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        std::fs::rename(path, &last)?;
        // These can be hundreds of files, so startup does not wait for their removal.
        let removed =
            thread::Builder::new().name("log".to_owned()).spawn(move || remove_dir(&older));
        drop(removed);
        DirBuilder::new().mode(0o700).create(path)?;
        LogDir::open(path)
    }

    pub fn open(path: &Path) -> io::Result<LogDir> {
        let fd = Mutex::new(Arc::new(open_dir(path)?));
        Ok(LogDir { path: Mutex::new(path.to_owned()), fd, removal_queue: Mutex::default() })
    }

    fn fd(&self) -> Arc<OwnedFd> {
        lock_unpoisoned(&self.fd).clone()
    }

    /// Notes that the project directory was moved, and this one with it.
    pub fn relocate(&self, moved: &DirMove) {
        let mut path = lock_unpoisoned(&self.path);
        *path = moved.path(&path);
    }

    /// Creates the directory again after it was removed, as `git clean -fdx` does.
    fn recreate(&self) -> io::Result<()> {
        let path = lock_unpoisoned(&self.path).clone();
        make_state_dir_of(&path)?;
        match DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
        *lock_unpoisoned(&self.fd) = Arc::new(open_dir(&path)?);
        Ok(())
    }

    /// Creates an empty file for reading and writing, replacing any file of this name.
    pub fn create_file(&self, name: &str) -> io::Result<File> {
        match rustix::fs::unlinkat(&*self.fd(), name, AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let create = || rustix::fs::openat(&*self.fd(), name, flags, Mode::RUSR | Mode::WUSR);
        match create() {
            // In an existing directory, that cannot be.
            Err(rustix::io::Errno::NOENT) => self.recreate()?,
            created => return Ok(created?.into()),
        }
        Ok(create()?.into())
    }

    /// Stores the id of the start whose log this is.
    pub fn write_start(&self, start: &StartId) -> io::Result<()> {
        self.create_file(START)?.write_all(start.as_str().as_bytes())
    }

    /// Returns the id of the start whose log this is, unless an older devstack wrote it.
    pub fn start(&self) -> Option<StartId> {
        let mut text = String::new();
        self.read(START).ok()?.take(MAX_START).read_to_string(&mut text).ok()?;
        text.parse().ok()
    }

    /// Opens a file for reading; fails unless it is a regular file.
    pub fn read(&self, name: &str) -> io::Result<File> {
        // Without NONBLOCK, opening a FIFO would wait for a writer.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file: File = rustix::fs::openat(&*self.fd(), name, flags, Mode::empty())?.into();
        if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
    }

    /// Returns whether `name` is still this file and has at least `len` bytes.
    pub fn is_same_file(&self, name: &str, file: &File, len: u64) -> bool {
        let (Ok(there), Ok(ours)) = (
            rustix::fs::statat(&*self.fd(), name, AtFlags::SYMLINK_NOFOLLOW),
            rustix::fs::fstat(file),
        ) else {
            return false;
        };
        let size = u64::try_from(ours.st_size).unwrap_or(0);
        (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino) && size >= len
    }

    /// Renames a file to a name that is not in use.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&*self.fd(), from, &*self.fd(), to)?)
    }

    /// Removes files on a separate thread: freeing a large file can take long.
    pub fn remove(self: &Arc<LogDir>, names: [String; 2]) {
        let mut trash = lock_unpoisoned(&self.removal_queue);
        if let Some(waiting) = &mut *trash {
            return waiting.extend(names);
        }
        let (dir, first) = (self.clone(), names.clone());
        let sweep = move || {
            let mut names = first.to_vec();
            loop {
                dir.unlink(&names);
                let mut trash = lock_unpoisoned(&dir.removal_queue);
                match trash.take() {
                    Some(more) if !more.is_empty() => {
                        *trash = Some(Vec::new());
                        names = more;
                    }
                    Some(_) | None => return,
                }
            }
        };
        match thread::Builder::new().name("log".to_owned()).spawn(sweep) {
            Ok(_) => *trash = Some(Vec::new()),
            Err(_) => self.unlink(&names),
        }
    }

    fn unlink(&self, names: &[String]) {
        for name in names {
            if let Err(error) = rustix::fs::unlinkat(&*self.fd(), name, AtFlags::empty()) {
                tracing::debug!("cannot remove {name}: {error}");
            }
        }
    }

    pub fn services(&self) -> io::Result<Vec<Name>> {
        let voices = self.sources()?;
        Ok(voices.iter().filter_map(|source| source.service().cloned()).collect())
    }

    /// Like `services`, including devstack itself.
    fn sources(&self) -> io::Result<Vec<LogSource>> {
        let mut all: Vec<LogSource> =
            self.names()?.filter_map(|name| voice_of(&name, ".log")).collect();
        all.sort();
        all.dedup();
        Ok(all)
    }

    pub fn indexes(&self) -> io::Result<Vec<(LogSource, String)>> {
        Ok(self.names()?.filter_map(|name| Some((voice_of(&name, ".idx")?, name))).collect())
    }

    fn names(&self) -> io::Result<impl Iterator<Item = String>> {
        let entries =
            rustix::fs::Dir::read_from(&*self.fd())?.collect::<rustix::io::Result<Vec<_>>>()?;
        Ok(entries
            .into_iter()
            .filter_map(|entry| entry.file_name().to_str().ok().map(str::to_owned)))
    }
}

fn open_dir(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

/// Returns the source of a file: `NAME.END`, or `NAME.NUMBER.END` once rotated. Names have no dots.
fn voice_of(file: &str, end: &str) -> Option<LogSource> {
    let rest = file.strip_suffix(end)?;
    let name = match rest.split_once('.') {
        Some((name, number)) => {
            number.parse::<u64>().ok()?;
            name
        }
        None => rest,
    };
    LogSource::from_file_stem(name)
}

/// Removes a directory if it exists.
fn remove_dir(path: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
