use std::fs::{DirBuilder, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags};

use crate::model::Name;

/// The folder of the log files. Everything in it is reached through its descriptor and never
/// through a symbolic link, so that nobody can point the log at a file of their choice.
pub(super) struct Folder {
    fd: OwnedFd,
}

impl Folder {
    /// Makes the folder, for this user only, and opens it.
    pub fn create(path: &Path) -> io::Result<Folder> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        Folder::open(path)
    }

    /// Opens a folder that exists.
    pub fn open(path: &Path) -> io::Result<Folder> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Folder { fd: rustix::fs::open(path, flags, Mode::empty())? })
    }

    /// Makes an empty file for reading and writing. What had this name before is gone.
    pub fn make(&self, name: &str) -> io::Result<File> {
        match rustix::fs::unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.fd, name, flags, Mode::RUSR | Mode::WUSR)?.into())
    }

    /// Opens a file for reading; an error if it is not an ordinary file.
    pub fn read(&self, name: &str) -> io::Result<File> {
        // Without NONBLOCK the open of a FIFO would wait for a writer.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file: File = rustix::fs::openat(&self.fd, name, flags, Mode::empty())?.into();
        if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
    }

    /// Whether `name` still is this file and has at least `len` bytes.
    pub fn holds(&self, name: &str, file: &File, len: u64) -> bool {
        let (Ok(there), Ok(ours)) = (
            rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW),
            rustix::fs::fstat(file),
        ) else {
            return false;
        };
        let size = u64::try_from(ours.st_size).unwrap_or(0);
        (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino) && size >= len
    }

    /// The services that have a log here, in order.
    pub fn services(&self) -> io::Result<Vec<Name>> {
        let mut all = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.fd)? {
            let entry = entry?;
            let Ok(file) = entry.file_name().to_str() else { continue };
            all.extend(file.strip_suffix(".log").and_then(|name| Name::new(name).ok()));
        }
        all.sort();
        Ok(all)
    }

    /// Gives the files of the last time the suffix `.1`, in place of those of the time before.
    pub fn keep_previous(&self) -> io::Result<()> {
        for name in self.services()? {
            for kind in ["log", "idx"] {
                let now = format!("{name}.{kind}");
                match rustix::fs::renameat(&self.fd, &now, &self.fd, format!("{now}.1")) {
                    Ok(()) | Err(rustix::io::Errno::NOENT) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }
}
