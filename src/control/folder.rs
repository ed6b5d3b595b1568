use std::path::{Path, PathBuf};

use super::holder::Holder;
use super::instance::identity;
use super::platform;

/// Where the project directory of a stack is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Folder {
    /// Where it was when the stack started.
    There(PathBuf),
    /// Moved to this path since the stack started.
    Moved(PathBuf),
    /// Deleted; this is its last known path.
    Deleted(PathBuf),
    /// No longer in its place; the system cannot tell whether it was moved or deleted.
    Gone(PathBuf),
    /// The stack has just started and has not written its record yet.
    Untold,
}

impl Folder {
    /// Locates the directory of a running devstack.
    pub(super) fn of_running(holder: Option<&Holder>, id: &str, uid: u32) -> Folder {
        let Some(holder) = holder else { return Folder::Untold };
        let begun = PathBuf::from(&holder.dir);
        let is = |dir: &Path| identity(dir, uid).is_ok_and(|found| found == id);
        if is(&begun) {
            return Folder::There(begun);
        }
        match platform::open_folder(holder.pid, id, uid) {
            // The record holds a non-UTF-8 path only approximately.
            Some(now) if is(&now) && now.to_string_lossy() == holder.dir => Folder::There(now),
            Some(now) if is(&now) => Folder::Moved(now),
            Some(_) => Folder::Deleted(begun),
            None => Folder::Gone(begun),
        }
    }

    /// Locates the directory of a crashed devstack, which no longer keeps it open.
    pub(super) fn of_abandoned(holder: &Holder, id: &str, uid: u32) -> Folder {
        let begun = PathBuf::from(&holder.dir);
        match identity(&begun, uid) {
            Ok(found) if found == id => Folder::There(begun),
            Ok(_) | Err(_) => Folder::Gone(begun),
        }
    }

    /// Returns the current path, or the last known one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Folder::There(dir) | Folder::Moved(dir) | Folder::Deleted(dir) | Folder::Gone(dir) => {
                Some(dir)
            }
            Folder::Untold => None,
        }
    }

    /// Returns the stable name that JSON uses.
    pub fn as_str(&self) -> &'static str {
        match self {
            Folder::There(_) => "there",
            Folder::Moved(_) => "moved",
            Folder::Deleted(_) => "deleted",
            Folder::Gone(_) => "gone",
            Folder::Untold => "unknown",
        }
    }
}
