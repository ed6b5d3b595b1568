use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::folder::Folder;
use super::holder::Holder;
use super::instance::{elsewhere, is_held, open_lock, try_lock};
use super::locks::locks;
use super::places::Places;

/// A devstack that did not end by itself: what it wrote into its lock is still there.
#[derive(Debug, Clone)]
pub struct Abandoned {
    /// What it said about itself.
    pub holder: Holder,
    /// Its folder.
    pub folder: Folder,
    /// Its socket, when that is left too.
    pub socket: Option<PathBuf>,
    /// The folder of its own files, when that is left.
    pub state_dir: Option<PathBuf>,
    id: String,
    lock: PathBuf,
    places: Places,
}

impl Abandoned {
    /// Every devstack of this user that was killed and whose folder none has run in since. Changes nothing.
    pub fn all() -> Vec<Abandoned> {
        Abandoned::all_in(&Places::of_this_user())
    }

    pub(super) fn all_in(places: &Places) -> Vec<Abandoned> {
        let look = |(id, path): (String, PathBuf)| {
            let lock = open_lock(&path, false).ok()?;
            if is_held(&lock) {
                return None;
            }
            let holder = Holder::read(&lock)?;
            let folder = Folder::of_abandoned(&holder, &id, places.uid);
            let state_dir = match &folder {
                Folder::There(dir) => places.existing_state_dir(dir, &id),
                // What is in its place now is somebody else's.
                Folder::Moved(_) | Folder::Deleted(_) | Folder::Gone(_) | Folder::Untold => {
                    places.existing_state_dir_elsewhere(&id)
                }
            };
            let socket = Some(path.with_extension("sock")).filter(|socket| socket.exists());
            let places = places.clone();
            Some(Abandoned { holder, folder, socket, state_dir, id, lock: path, places })
        };
        locks(places).into_iter().filter_map(look).collect()
    }

    /// Ends it for good: lets `clear` end what it left, while no other can start in its folder. When that says that nothing
    /// is left, its lock forgets it and its socket goes. Nothing happens when another runs there by now.
    pub fn settle(&self, clear: impl FnOnce() -> bool) -> io::Result<()> {
        let lock = open_lock(&self.lock, true)?;
        let runtime = self.lock.parent().unwrap_or(Path::new(""));
        let taken = !try_lock(&lock)? || elsewhere(&self.places, runtime, &self.id).is_some();
        let changed = || Holder::read(&lock).as_ref() != Some(&self.holder);
        if taken || changed() || !clear() {
            return Ok(());
        }
        match fs::remove_file(self.lock.with_extension("sock")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        lock.set_len(0)
    }
}
