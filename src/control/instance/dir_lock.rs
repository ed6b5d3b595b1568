//! The lock that belongs to a project directory, whatever the runtime directory of its devstack is.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;

use super::record::InstanceRecord;
use super::user_dirs::UserDirs;
use super::{PAUSE, TRIES, is_held, try_lock};
use crate::model::LOCK_FILE;
use crate::regular_file::{self, open_lock};
use crate::sys::file_id::FileId;

/// The lock file in `.devstack`, with a record; the project directory itself where that cannot be
/// written. Another place would depend on the environment. Not the directory of another user: every
/// user who can read it could lock it, and several may each run a stack of their own there.
#[derive(Debug)]
pub(super) struct DirLock(File);

/// What keeps a project directory from being locked.
pub(super) enum DirLockError {
    /// Another devstack has it. `None`: there is no record of it.
    Busy(Option<Box<InstanceRecord>>),
    /// There are no locks on this file system, or the directory belongs to another user.
    NoLocks,
}

/// The lock of the project directory itself, which stays when `.devstack` is removed. It proves
/// little, since any program may take it, but a devstack that needs the file waits a while for its
/// holder to lock the new one.
pub(super) type LockedDir = Option<File>;

impl DirLock {
    /// Also takes the lock of the directory itself, unless that is held already. Waits a second at
    /// most for a devstack that is about to exit, because the kernel releases its locks one after
    /// another, or about to lock a new file.
    pub fn take(
        places: &UserDirs,
        project: &Path,
        locked_dir: &mut LockedDir,
    ) -> Result<DirLock, DirLockError> {
        let mut holder = None;
        for left in (0..TRIES).rev() {
            let file = open(places, project).map_err(|_| DirLockError::NoLocks)?;
            let is_file = file.metadata().is_ok_and(|found| found.is_file());
            if let Some(locked_dir) = locked_dir.take_if(|_| !is_file) {
                return Ok(DirLock(locked_dir));
            }
            // Network file systems may have none, or only for files that can be written.
            if try_lock(&file).map_err(|_| DirLockError::NoLocks)? {
                if !is_file || lock_dir(places, project, locked_dir) || left == 0 {
                    return Ok(DirLock(file));
                }
            } else {
                holder = InstanceRecord::read(&file);
                if holder.as_ref().is_some_and(holds_its_own_lock) {
                    break;
                }
            }
            drop(file);
            #[expect(
                clippy::disallowed_methods,
                reason = "before the loop runs, or off it; a lock gives no event"
            )]
            thread::sleep(PAUSE);
        }
        Err(DirLockError::Busy(holder.map(Box::new)))
    }

    /// Returns the lock of the directory itself if this is it.
    pub fn into_locked_dir(self) -> LockedDir {
        Some(self).filter(|lock| !lock.is_file()).map(|lock| lock.0)
    }

    /// Writes the owner of the lock into it, if it has room for that.
    pub fn record(&self, holder: &InstanceRecord) -> io::Result<()> {
        if self.is_file() { holder.write(&self.0) } else { Ok(()) }
    }

    /// Whether others would lock another file: this one was removed or replaced, or the project
    /// directory itself is locked and can be written by now.
    pub fn is_lost(&self, places: &UserDirs, project: &Path) -> bool {
        if !self.is_file() {
            return open_file(places, project).is_ok();
        }
        let id = |found: fs::Metadata| FileId::of_metadata(&found);
        let found = fs::symlink_metadata(project.join(LOCK_FILE)).ok().map(id);
        self.0.metadata().is_ok_and(|own| found != Some(id(own)))
    }

    pub fn clear(&self) {
        if self.is_file() {
            let _ = self.0.set_len(0);
        }
    }

    fn is_file(&self) -> bool {
        self.0.metadata().is_ok_and(|found| found.is_file())
    }
}

/// Locks the user's own project directory. Returns false if another process has it locked.
fn lock_dir(places: &UserDirs, project: &Path, locked_dir: &mut LockedDir) -> bool {
    if locked_dir.is_none() {
        *locked_dir = open_dir(places, project).ok();
    }
    let locked = locked_dir.as_ref().map(File::try_lock);
    let busy = matches!(locked, Some(Err(TryLockError::WouldBlock)));
    locked_dir.take_if(|_| !matches!(locked, Some(Ok(()))));
    !busy
}

/// Whether the lock beside the socket of a devstack is held too: it is not about to exit.
fn holds_its_own_lock(holder: &InstanceRecord) -> bool {
    let lock = holder.socket.as_deref().map(|socket| Path::new(socket).with_extension("lock"));
    lock.is_some_and(|lock| open_lock(&lock, false).is_ok_and(|lock| is_held(&lock)))
}

/// Finds the lock of a running devstack, by the file only.
pub(super) fn find_held(places: &UserDirs, project: &Path) -> Option<(PathBuf, File)> {
    places.private_state_dir_beside(project)?;
    let path = project.join(LOCK_FILE);
    let lock = open_lock(&path, false).ok()?;
    is_held(&lock).then_some((path, lock))
}

fn open(places: &UserDirs, project: &Path) -> io::Result<File> {
    open_file(places, project).or_else(|_| open_dir(places, project))
}

fn open_dir(places: &UserDirs, project: &Path) -> io::Result<File> {
    let found = fs::metadata(project)?;
    let own = found.is_dir() && found.uid() == places.uid;
    if own { regular_file::open_dir(project) } else { Err(io::ErrorKind::PermissionDenied.into()) }
}

fn open_file(places: &UserDirs, project: &Path) -> io::Result<File> {
    places.create_state_dir_beside(project)?;
    open_lock(&project.join(LOCK_FILE), true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_only_directory_is_locked_by_its_user_and_kept_free_of_others() {
        let project = tempfile::tempdir().unwrap();
        // Neither user can create the state directory.
        fs::write(project.path().join(".devstack"), "").unwrap();
        let owner = fs::metadata(project.path()).unwrap().uid();
        let dirs = |uid| UserDirs::new(uid, None, None, project.path().join("run"));
        let take = |uid| DirLock::take(&dirs(uid), project.path(), &mut None);
        assert!(matches!(take(owner + 1), Err(DirLockError::NoLocks)));
        let lock = take(owner).ok().unwrap();
        assert!(!lock.is_file());
        assert!(matches!(take(owner), Err(DirLockError::Busy(None))));
        assert!(matches!(take(owner + 1), Err(DirLockError::NoLocks)));
    }
}
