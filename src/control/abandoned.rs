use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::folder::Folder;
use super::holder::Holder;
use super::instance::{elsewhere, is_held, open_lock, try_lock};
use super::locks::locks;
use super::places::Places;

/// A devstack that crashed or was killed: the record in its lock file is still there.
#[derive(Debug, Clone)]
pub struct Abandoned {
    /// The record it left.
    pub holder: Holder,
    /// Its project directory.
    pub folder: Folder,
    /// Its socket, if it still exists.
    pub socket: Option<PathBuf>,
    /// Its state directory, if it still exists.
    pub state_dir: Option<PathBuf>,
    id: String,
    lock: PathBuf,
    places: Places,
}

impl Abandoned {
    /// Returns every devstack of this user that was killed and not replaced by another one in the
    /// same directory. Changes nothing.
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
                // The path now belongs to something else.
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

    /// Cleans up after the crash: runs `clear`, which terminates leftover processes, while no other
    /// devstack can start in the directory. If `clear` returns true (nothing is left), empties the
    /// lock file and removes the socket. Does nothing if another devstack runs there by now.
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
