use std::fs;
use std::path::{Path, PathBuf};

use super::record::InstanceRecord;
use super::{directory_id, identity_of};

/// Where the project directory of a stack is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProjectDir {
    /// Where it was when the stack started.
    InPlace(PathBuf),
    /// Moved to this path since the stack started.
    Moved(PathBuf),
    /// Deleted; this is its last known path.
    Deleted(PathBuf),
    /// No longer in its place; the system cannot tell whether it was moved or deleted.
    Missing(PathBuf),
    /// The stack has just started and has not written its record yet.
    Unknown,
}

impl ProjectDir {
    pub(super) fn of_running(holder: Option<&InstanceRecord>, id: &str, uid: u32) -> ProjectDir {
        let Some(holder) = holder else { return ProjectDir::Unknown };
        let begun = PathBuf::from(&holder.dir);
        let is = |dir: &Path| directory_id(dir, uid).is_ok_and(|found| found == id);
        if is(&begun) {
            return ProjectDir::InPlace(begun);
        }
        match open_dir_path(holder.pid, id, uid) {
            // The record holds a non-UTF-8 path only approximately.
            Some(now) if is(&now) && now.to_string_lossy() == holder.dir => {
                ProjectDir::InPlace(now)
            }
            Some(now) if is(&now) => ProjectDir::Moved(now),
            Some(_) => ProjectDir::Deleted(begun),
            None => ProjectDir::Missing(begun),
        }
    }

    /// Locates the directory of a crashed devstack, which no longer keeps it open.
    pub(super) fn of_abandoned(holder: &InstanceRecord, id: &str, uid: u32) -> ProjectDir {
        let begun = PathBuf::from(&holder.dir);
        match directory_id(&begun, uid) {
            Ok(found) if found == id => ProjectDir::InPlace(begun),
            Ok(_) | Err(_) => ProjectDir::Missing(begun),
        }
    }

    /// Returns the current path, or the last known one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            ProjectDir::InPlace(dir)
            | ProjectDir::Moved(dir)
            | ProjectDir::Deleted(dir)
            | ProjectDir::Missing(dir) => Some(dir),
            ProjectDir::Unknown => None,
        }
    }

    /// Returns the stable name that JSON uses.
    pub fn as_str(&self) -> &'static str {
        match self {
            ProjectDir::InPlace(_) => "there",
            ProjectDir::Moved(_) => "moved",
            ProjectDir::Deleted(_) => "deleted",
            ProjectDir::Missing(_) => "gone",
            ProjectDir::Unknown => "unknown",
        }
    }
}

/// Returns the path of the directory with this id, if the process has it open and `/proc` shows
/// its files: only Linux has that.
fn open_dir_path(pid: u32, id: &str, uid: u32) -> Option<PathBuf> {
    let open = fs::read_dir(Path::new("/proc").join(pid.to_string()).join("fd")).ok()?;
    let is = |link: &PathBuf| {
        let found = fs::metadata(link).ok().and_then(|found| identity_of(&found, uid));
        found.is_some_and(|found| found == id)
    };
    let link = open.flatten().map(|entry| entry.path()).find(is)?;
    fs::read_link(link).ok()
}
