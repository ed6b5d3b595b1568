use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

/// Which terminal it is, of all that the system has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device {
    /// The file system that has it.
    pub system: u64,
    /// Its number there.
    pub inode: u64,
}

impl Device {
    /// The one that is open here; `None` when that cannot be seen.
    pub fn of(terminal: impl AsFd) -> Option<Device> {
        let file = File::from(terminal.as_fd().try_clone_to_owned().ok()?);
        let known = file.metadata().ok()?;
        Some(Device { system: known.dev(), inode: known.ino() })
    }
}
