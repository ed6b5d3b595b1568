//! Which directory a stack has run in: kept in the user's state directory, so that data elsewhere is
//! found when the directory is gone.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::directory_id;
use super::user_dirs::UserDirs;
use crate::atomic_file;

const VERSION: u32 = 1;

/// Maximum size of a record that is read, in bytes; far more than the longest path needs.
const MAX_RECORD: u64 = 64 * 1024;

/// Where a stack has run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectRecord {
    version: u32,
    /// Its project directory.
    pub dir: PathBuf,
    /// The number of the file system of that directory.
    device: u64,
    /// The name of the stack.
    pub stack: String,
}

/// What became of a project directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RecordedDir {
    /// It is there.
    Present,
    /// It no longer exists.
    Gone,
    /// Another directory or file has its path.
    Replaced,
    /// Its file system may not be mounted.
    OutOfReach,
}

impl ProjectRecord {
    /// Records that a stack runs in this directory. Does nothing for a user without a home.
    ///
    /// # Errors
    /// It cannot be written. A path that is not UTF-8 cannot be recorded.
    pub fn keep(dir: &Path, stack: &str) -> io::Result<()> {
        ProjectRecord::keep_in(&UserDirs::of_this_user(), dir, stack)
    }

    pub(crate) fn keep_in(places: &UserDirs, dir: &Path, stack: &str) -> io::Result<()> {
        let id = directory_id(dir, places.uid)?;
        let Some(path) = places.create_projects_dir()?.map(|projects| file_in(&projects, &id))
        else {
            return Ok(());
        };
        let device = fs::metadata(dir)?.dev();
        let (dir, stack) = (dir.to_owned(), stack.to_owned());
        let now = ProjectRecord { version: VERSION, dir, device, stack };
        if ProjectRecord::read(&path).as_ref() == Some(&now) {
            return Ok(());
        }
        let mut text = serde_json::to_vec(&now)?;
        text.push(b'\n');
        atomic_file::replace(&path, 0o600, |file| file.write_all(&text))
    }

    /// Returns all records of a user, by the id of their directory.
    pub(crate) fn all_in(projects: &Path) -> Vec<(String, ProjectRecord)> {
        let entries = fs::read_dir(projects).into_iter().flatten().flatten();
        let record = |path: PathBuf| {
            let id = path.file_stem()?.to_str()?.to_owned();
            let record = ProjectRecord::read(&path).filter(|_| path == file_in(projects, &id))?;
            Some((id, record))
        };
        let mut all: Vec<_> = entries.filter_map(|entry| record(entry.path())).collect();
        all.sort_by(|(_, one), (_, other)| one.dir.cmp(&other.dir));
        all
    }

    /// Forgets the directory with this id.
    pub(crate) fn forget(projects: &Path, id: &str) -> io::Result<()> {
        fs::remove_file(file_in(projects, id))
    }

    fn read(path: &Path) -> Option<ProjectRecord> {
        let parse = |text: &[u8]| {
            let record: ProjectRecord = serde_json::from_slice(text).ok()?;
            (record.version == VERSION).then_some(record)
        };
        atomic_file::read(path, MAX_RECORD, parse).ok().flatten()
    }

    /// Returns what became of the directory, which had this id.
    pub(crate) fn dir_now(&self, id: &str, uid: u32) -> RecordedDir {
        match directory_id(&self.dir, uid) {
            Ok(found) if found == id => return RecordedDir::Present,
            Ok(_) => return RecordedDir::Replaced,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(_) => return RecordedDir::Replaced,
        }
        // Without its mount, the place of a file system is an empty directory of another one.
        let above = self.dir.ancestors().find_map(|dir| fs::metadata(dir).ok());
        match above.is_some_and(|above| above.dev() == self.device) {
            true => RecordedDir::Gone,
            false => RecordedDir::OutOfReach,
        }
    }
}

fn file_in(projects: &Path, id: &str) -> PathBuf {
    projects.join(format!("{id}.json"))
}
