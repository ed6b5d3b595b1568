use std::fs;
use std::path::PathBuf;

use super::holder::Holder;
use super::instance::{is_held, open_lock};
use super::places::Places;

/// A devstack that did not end by itself: what it wrote into its lock is still there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Abandoned {
    /// The folder that it ran in, as it was called then.
    pub dir: PathBuf,
    /// Its socket, when that is left too.
    pub socket: Option<PathBuf>,
}

/// Every devstack of this user that was killed and whose folder none has run in since. Changes nothing.
pub fn abandoned() -> Vec<Abandoned> {
    abandoned_in(&Places::of_this_user())
}

pub(super) fn abandoned_in(places: &Places) -> Vec<Abandoned> {
    let folders = places.runtime_dirs();
    let files = folders.iter().filter_map(|dir| fs::read_dir(dir).ok()).flatten().flatten();
    let mut locks: Vec<PathBuf> = files.map(|entry| entry.path()).collect();
    locks.retain(|path| path.extension().is_some_and(|extension| extension == "lock"));
    locks.sort();
    let look = |path: &PathBuf| {
        let lock = open_lock(path, false).ok()?;
        if is_held(&lock) {
            return None;
        }
        let holder = Holder::read(&lock)?;
        let socket = Some(path.with_extension("sock")).filter(|socket| socket.exists());
        Some(Abandoned { dir: holder.dir.into(), socket })
    };
    locks.iter().filter_map(look).collect()
}
