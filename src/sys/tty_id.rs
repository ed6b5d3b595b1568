use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

/// Identifies a terminal among all of the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TtyId {
    /// The device of its file system.
    pub system: u64,
    /// Its inode there.
    pub inode: u64,
}

impl TtyId {
    /// Identifies an open terminal; `None` when it cannot be read.
    pub fn of(terminal: impl AsFd) -> Option<TtyId> {
        let file = File::from(terminal.as_fd().try_clone_to_owned().ok()?);
        let known = file.metadata().ok()?;
        Some(TtyId { system: known.dev(), inode: known.ino() })
    }
}
