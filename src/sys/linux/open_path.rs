//! The path of an open file.

use std::fs::read_link;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::PathBuf;

/// Returns the path that an open file has now. That of a deleted one leads to no file.
pub(crate) fn open_path(file: impl AsFd) -> io::Result<PathBuf> {
    read_link(format!("/proc/self/fd/{}", file.as_fd().as_raw_fd()))
}
