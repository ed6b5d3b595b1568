use std::path::{Path, PathBuf};
use std::{fs, io};

use super::project_dir::ProjectDir;
use super::record::InstanceRecord;
use super::user_dirs::{StateDir, UserDirs};
use super::{is_held, other_runtime_lock, try_lock};
use crate::regular_file::open_lock;

/// A devstack that crashed or was killed: the record in its lock file is still there.
#[derive(Debug, Clone)]
pub struct CrashedInstance {
    /// The record it left.
    pub holder: InstanceRecord,
    /// Its project directory.
    pub dir: ProjectDir,
    /// Its socket, if it still exists.
    pub socket: Option<PathBuf>,
    /// Its state directory, if it still exists.
    pub state_dir: Option<StateDir>,
    id: String,
    lock: PathBuf,
    places: UserDirs,
}

impl CrashedInstance {
    /// Returns every devstack of this user that was killed and not replaced by another one in the
    /// same directory. Changes nothing.
    pub fn all() -> Vec<CrashedInstance> {
        CrashedInstance::all_in(&UserDirs::of_this_user())
    }

    pub(crate) fn all_in(places: &UserDirs) -> Vec<CrashedInstance> {
        let style = |(id, path): (String, PathBuf)| {
            let lock = open_lock(&path, false).ok()?;
            if is_held(&lock) {
                return None;
            }
            let holder = InstanceRecord::read(&lock)?;
            let directory = ProjectDir::of_abandoned(&holder, &id, places.uid);
            let state_dir = match &directory {
                ProjectDir::InPlace(dir) => places.existing_state_dir(dir, &id),
                // The path now belongs to something else.
                ProjectDir::Moved(_)
                | ProjectDir::Deleted(_)
                | ProjectDir::Missing(_)
                | ProjectDir::Unknown => places.existing_state_dir_elsewhere(&id),
            };
            let state_dir = state_dir.map(StateDir::at);
            let socket = Some(path.with_extension("sock")).filter(|socket| socket.exists());
            let places = places.clone();
            Some(CrashedInstance {
                holder,
                dir: directory,
                socket,
                state_dir,
                id,
                lock: path,
                places,
            })
        };
        places.lock_files().into_iter().filter_map(style).collect()
    }

    /// Cleans up after the crash: runs `clear`, which terminates leftover processes, while no other
    /// devstack can start in the directory. If `clear` returns true (nothing is left), empties the
    /// lock file and removes the socket. Does nothing if another devstack runs there by now.
    pub fn clean_up(&self, clear: impl FnOnce() -> bool) -> io::Result<()> {
        let lock = open_lock(&self.lock, true)?;
        let runtime = self.lock.parent().unwrap_or(Path::new(""));
        let taken =
            !try_lock(&lock)? || other_runtime_lock(&self.places, runtime, &self.id).is_some();
        let changed = || InstanceRecord::read(&lock).as_ref() != Some(&self.holder);
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
