use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::project_dir::ProjectDir;
use super::user_dirs::UserDirs;
use super::{RunningInstance, is_held};
use crate::regular_file::open_lock;

/// A running devstack and the current location of its project directory.
#[derive(Debug, Clone)]
pub struct LocatedInstance {
    /// The devstack.
    pub found: RunningInstance,
    /// Its project directory.
    pub dir: ProjectDir,
}

impl LocatedInstance {
    /// Returns every running devstack of this user on this machine, sorted by directory, also if
    /// started with another environment or moved. Contacts none of them, so none can block.
    pub fn all() -> Vec<LocatedInstance> {
        LocatedInstance::all_in(&UserDirs::of_this_user())
    }

    pub(crate) fn all_in(places: &UserDirs) -> Vec<LocatedInstance> {
        // Two paths may lead to the same lock directory.
        let mut seen = BTreeSet::new();
        let style = |(id, path): (String, PathBuf)| {
            let lock = open_lock(&path, false).ok()?;
            let file = lock.metadata().ok()?;
            if !is_held(&lock) || !seen.insert((file.dev(), file.ino())) {
                return None;
            }
            let mut found = RunningInstance::new(Path::new(""), path, &lock);
            let directory = ProjectDir::of_running(found.holder.as_ref(), &id, places.uid);
            found.dir = directory.path().unwrap_or(Path::new("")).to_owned();
            Some(LocatedInstance { found, dir: directory })
        };
        let mut all: Vec<LocatedInstance> =
            places.lock_files().into_iter().filter_map(style).collect();
        all.sort_by(|one, other| one.found.dir.cmp(&other.found.dir));
        all
    }
}
