use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::folder::Folder;
use super::instance::{Found, is_held, open_lock};
use super::locks::locks;
use super::places::Places;

/// A devstack that runs, and where its folder is by now.
#[derive(Debug, Clone)]
pub struct Located {
    /// The devstack.
    pub found: Found,
    /// Its folder.
    pub folder: Folder,
}

impl Located {
    /// Every devstack of this user that runs on this machine, by the folder it runs in: also those that were started with
    /// another environment, or whose folder was moved or deleted. Asks nobody, so nobody can keep it waiting.
    pub fn all() -> Vec<Located> {
        Located::all_in(&Places::of_this_user())
    }

    pub(super) fn all_in(places: &Places) -> Vec<Located> {
        // One folder may be reached by two names.
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
