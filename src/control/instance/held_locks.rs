use std::fs::File;
use std::io;
use std::path::Path;

use super::AlreadyRunning;
use super::dir_lock::{DirLock, DirLockError, LockedDir};
use super::project_record::ProjectRecord;
use super::record::InstanceRecord;
use super::user_dirs::UserDirs;
use crate::model::{Message, MessageClass};

/// The locks of a running devstack. Those in the project directory follow it.
#[derive(Debug)]
pub(super) struct HeldLocks {
    pub lock: File,
    /// `None` where the file system has no locks.
    pub dir_lock: Option<DirLock>,
    pub locked_dir: LockedDir,
    /// Whether another devstack took the lock while its file was missing.
    pub robbed: bool,
    pub holder: InstanceRecord,
    pub places: UserDirs,
    /// Whether what looks like a running devstack was removed.
    pub ended: bool,
    /// Whether something may be left of a devstack that was killed here. Its token is in the record.
    pub unclean: bool,
}

impl HeldLocks {
    /// Writes the record to both locks. The token is only in the private one.
    pub fn write(&self) -> io::Result<()> {
        self.holder.write(&self.lock)?;
        let open = InstanceRecord { token: None, ..self.holder.clone() };
        self.dir_lock.as_ref().map_or(Ok(()), |dir_lock| dir_lock.record(&open))
    }

    /// Takes the lock in the project directory again if its file was removed, and records the path
    /// of the directory, which may have been moved; also for `devstack data`. Returns why it cannot.
    pub fn follow(&mut self, dir: &Path) -> Option<Message> {
        let former = std::mem::replace(&mut self.holder.dir, dir.to_string_lossy().into_owned());
        if former != self.holder.dir
            && let Err(error) = ProjectRecord::keep_in(&self.places, dir, &self.holder.stack)
        {
            tracing::warn!(%error, "cannot record the project directory");
        }
        if self.ended {
            return None;
        }
        let lost =
            self.dir_lock.as_ref().map_or(self.robbed, |lock| lock.is_lost(&self.places, dir));
        if lost {
            if let Some(locked_dir) = self.dir_lock.take().and_then(DirLock::into_locked_dir) {
                self.locked_dir = Some(locked_dir);
            }
            match DirLock::take(&self.places, dir, &mut self.locked_dir) {
                Ok(lock) => (self.dir_lock, self.robbed) = (Some(lock), false),
                // The directory is gone, or cannot be written at the moment.
                Err(DirLockError::NoLocks) => return None,
                Err(DirLockError::Busy(holder)) => {
                    let known = std::mem::replace(&mut self.robbed, true);
                    return (!known).then(|| taken(holder));
                }
            }
        }
        if (lost || former != self.holder.dir)
            && let Err(error) = self.write()
        {
            tracing::warn!(%error, "cannot record the directory of the stack");
        }
        None
    }

    /// Removes what looks like a running or crashed devstack.
    pub fn clean_up(&mut self) {
        self.ended = true;
        if !self.unclean {
            let _ = self.lock.set_len(0);
        }
        if let Some(dir_lock) = &self.dir_lock {
            dir_lock.clear();
        }
    }
}

fn taken(holder: Option<Box<InstanceRecord>>) -> Message {
    let who =
        holder.as_ref().map_or_else(String::new, |it| format!(": {} (pid {})", it.stack, it.pid));
    let text = format!("another stack started in this directory while .devstack was missing{who}");
    let other = AlreadyRunning::Elsewhere(holder).message().help;
    Message::new(MessageClass::Busy, text).help(format!(
        "they share the same files and data: {other}, or this one with `devstack down`"
    ))
}
