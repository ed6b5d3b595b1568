use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::folder::Folder;
use super::instance::{Found, is_held, open_lock};
use super::locks::locks;
use super::places::Places;

/// A running devstack and the current location of its project directory.
#[derive(Debug, Clone)]
pub struct Located {
    /// The devstack.
    pub found: Found,
    /// Its project directory.
    pub folder: Folder,
}

impl Located {
    /// Returns every running devstack of this user on this machine, sorted by directory, also if
    /// started with another environment or moved. Contacts none of them, so none can block.
    pub fn all() -> Vec<Located> {
        Located::all_in(&Places::of_this_user())
    }

    pub(super) fn all_in(places: &Places) -> Vec<Located> {
        // Two paths may lead to the same lock directory.
        let mut seen = BTreeSet::new();
        let look = |(id, path): (String, PathBuf)| {
            let lock = open_lock(&path, false).ok()?;
            let file = lock.metadata().ok()?;
            if !is_held(&lock) || !seen.insert((file.dev(), file.ino())) {
                return None;
            }
            let mut found = Found::new(Path::new(""), path, &lock);
            let folder = Folder::of_running(found.holder.as_ref(), &id, places.uid);
            found.dir = folder.path().unwrap_or(Path::new("")).to_owned();
            Some(Located { found, folder })
        };
        let mut all: Vec<Located> = locks(places).into_iter().filter_map(look).collect();
        all.sort_by(|one, other| one.found.dir.cmp(&other.found.dir));
        all
    }
}
