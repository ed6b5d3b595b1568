//! The path of an open file.

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// Returns the path that an open file has now. That of a deleted one leads to no file.
pub(crate) fn open_path(file: impl AsFd) -> io::Result<PathBuf> {
    let path = rustix::fs::getpath(file)?;
    Ok(OsString::from_vec(path.into_bytes()).into())
}
