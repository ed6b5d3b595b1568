use std::fs;
use std::path::{Path, PathBuf};

use super::user_dirs::UserDirs;

/// Hexadecimal digits of a directory id.
const DIGITS: usize = 16;

/// Returns the directory id and path of all lock files of this user, sorted.
pub(super) fn lock_files(places: &UserDirs) -> Vec<(String, PathBuf)> {
    let dirs = places.runtime_dirs();
    let files = dirs.iter().filter_map(|dir| fs::read_dir(dir).ok()).flatten().flatten();
    let mut locks: Vec<(String, PathBuf)> =
        files.filter_map(|entry| Some((identity(&entry.path())?, entry.path()))).collect();
    locks.sort();
    locks
}

/// Returns the directory id in the name of a lock file; `None` for other files.
fn identity(path: &Path) -> Option<String> {
    let id = path.file_stem()?.to_str()?;
    let is_identity = id.len() == DIGITS && id.bytes().all(|digit| digit.is_ascii_hexdigit());
    (is_identity && path.extension()? == "lock").then(|| id.to_owned())
}
