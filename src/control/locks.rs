use std::fs;
use std::path::{Path, PathBuf};

use super::places::Places;

/// How many digits the identity of a folder has.
const DIGITS: usize = 16;

/// The lock files of all folders that a devstack of this user ever ran in, in order of their names; with each
/// what the folder is called among locks.
pub(super) fn locks(places: &Places) -> Vec<(String, PathBuf)> {
    let folders = places.runtime_dirs();
    let files = folders.iter().filter_map(|dir| fs::read_dir(dir).ok()).flatten().flatten();
    let mut locks: Vec<(String, PathBuf)> =
        files.filter_map(|entry| Some((identity(&entry.path())?, entry.path()))).collect();
    locks.sort();
    locks
}

/// The identity in the name of a lock; `None` when it is another file.
fn identity(path: &Path) -> Option<String> {
    let id = path.file_stem()?.to_str()?;
    let is_identity = id.len() == DIGITS && id.bytes().all(|digit| digit.is_ascii_hexdigit());
    (is_identity && path.extension()? == "lock").then(|| id.to_owned())
}
