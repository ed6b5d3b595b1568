//! Linux: `/proc` shows the open files of this user's processes.

use std::fs;
use std::path::{Path, PathBuf};

use super::identity_of;

/// Returns the path of the directory with this id, if the process has it open.
pub(super) fn open_dir_path(pid: u32, id: &str, uid: u32) -> Option<PathBuf> {
    let open = fs::read_dir(Path::new("/proc").join(pid.to_string()).join("fd")).ok()?;
    let is = |link: &PathBuf| {
        let found = fs::metadata(link).ok().and_then(|found| identity_of(&found, uid));
        found.is_some_and(|found| found == id)
    };
    let link = open.flatten().map(|entry| entry.path()).find(is)?;
    fs::read_link(link).ok()
}
