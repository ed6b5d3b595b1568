use std::fmt;
use std::fs::{File, Metadata};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

/// Identifies a file or terminal among all of the system, whatever its names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileId {
    /// The device of its file system.
    pub device: u64,
    pub inode: u64,
}

impl FileId {
    /// Identifies an open file; `None` when it cannot be read.
    pub fn of(file: impl AsFd) -> Option<FileId> {
        Some(FileId::of_metadata(&metadata(file)?))
    }

    pub(crate) fn of_metadata(meta: &Metadata) -> FileId {
        FileId { device: meta.dev(), inode: meta.ino() }
    }

    /// Reads the form that [`fmt::Display`] writes.
    pub fn parse(text: &str) -> Option<FileId> {
        let (device, inode) = text.split_once('-')?;
        Some(FileId { device: device.parse().ok()?, inode: inode.parse().ok()? })
    }
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.device, self.inode)
    }
}

/// Returns the files into which this process prints, as in `devstack logs -f > log`.
pub(crate) fn own_output() -> Vec<FileId> {
    let output = [metadata(rustix::stdio::stdout()), metadata(rustix::stdio::stderr())];
    let files = output.iter().flatten().filter(|meta| meta.is_file());
    files.map(FileId::of_metadata).collect()
}

fn metadata(file: impl AsFd) -> Option<Metadata> {
    File::from(file.as_fd().try_clone_to_owned().ok()?).metadata().ok()
}
