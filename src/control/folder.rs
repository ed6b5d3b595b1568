use std::path::{Path, PathBuf};

use super::holder::Holder;
use super::instance::identity;
use super::platform;

/// Where the folder of a stack is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Folder {
    /// Where it was when the stack was started.
    There(PathBuf),
    /// It was moved to here meanwhile.
    Moved(PathBuf),
    /// It was deleted; how it was called last.
    Deleted(PathBuf),
    /// Not where it was when the stack was started, and the system does not say whether it was moved or deleted.
    Gone(PathBuf),
    /// The stack has only just begun and has not said.
    Untold,
}

impl Folder {
    /// Of a devstack that runs.
    pub(super) fn of_running(holder: Option<&Holder>, id: &str, uid: u32) -> Folder {
        let Some(holder) = holder else { return Folder::Untold };
        let begun = PathBuf::from(&holder.dir);
        let is = |dir: &Path| identity(dir, uid).is_ok_and(|found| found == id);
        if is(&begun) {
            return Folder::There(begun);
        }
        match platform::open_folder(holder.pid, id, uid) {
            // What is no text was not written down exactly.
            Some(now) if is(&now) && now.to_string_lossy() == holder.dir => Folder::There(now),
            Some(now) if is(&now) => Folder::Moved(now),
            Some(_) => Folder::Deleted(begun),
            None => Folder::Gone(begun),
        }
    }

    /// Of a devstack that does not run any more: nobody keeps the folder open.
    pub(super) fn of_abandoned(holder: &Holder, id: &str, uid: u32) -> Folder {
        let begun = PathBuf::from(&holder.dir);
        match identity(&begun, uid) {
            Ok(found) if found == id => Folder::There(begun),
            Ok(_) | Err(_) => Folder::Gone(begun),
        }
    }

    /// How it is called, or was last.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Folder::There(dir) | Folder::Moved(dir) | Folder::Deleted(dir) | Folder::Gone(dir) => {
                Some(dir)
            }
            Folder::Untold => None,
        }
    }

    /// The stable word, as in JSON.
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
