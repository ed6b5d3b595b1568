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

/// How many entries of a directory are searched for one that was moved.
const MAX_SEARCHED: usize = 10_000;

/// Maximum size of a record that is read, in bytes; far more than the longest path needs.
const MAX_RECORD: u64 = 64 * 1024;

/// Where a stack has run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectRecord {
    version: u32,
    /// Its project directory.
    #[serde(with = "encoded_path")]
    pub dir: PathBuf,
    /// The number of the file system of that directory.
    device: u64,
    /// The id of the directory above. Without its mount, another one has that path.
    parent: String,
    /// The name of the stack.
    pub stack: String,
}

/// What became of a project directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RecordedDir {
    Present,
    /// It no longer exists.
    Gone,
    /// It has this path now.
    Moved(PathBuf),
    /// Another directory or file has its path.
    Replaced,
    /// It may exist: the directory above is gone or another one, or too large to search.
    OutOfReach,
}

impl ProjectRecord {
    /// Records that a stack runs in this directory. Does nothing for a user without a home.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn keep(dir: &Path, stack: &str) -> io::Result<()> {
        ProjectRecord::keep_in(&UserDirs::of_this_user(), dir, stack)
    }

    /// Whether this user has run a stack in this directory. The record is in the user's own state
    /// directory and names the identity of the directory, so nothing in the directory can stand for it.
    pub fn has_run(dir: &Path) -> bool {
        ProjectRecord::is_kept_in(&UserDirs::of_this_user(), dir)
    }

    pub(crate) fn is_kept_in(places: &UserDirs, dir: &Path) -> bool {
        let id = directory_id(dir, places.uid).ok();
        let path = id.and_then(|id| Some(file_in(&places.projects_dir()?, &id)));
        let record = path.and_then(|path| ProjectRecord::read(&path));
        // An identity is used again once its directory is deleted.
        record.is_some_and(|record| fs::canonicalize(dir).is_ok_and(|dir| dir == record.dir))
    }

    pub(crate) fn keep_in(places: &UserDirs, dir: &Path, stack: &str) -> io::Result<()> {
        let id = directory_id(dir, places.uid)?;
        let Some(path) = places.create_projects_dir()?.map(|projects| file_in(&projects, &id))
        else {
            return Ok(());
        };
        // A link to it may be removed alone.
        let dir = fs::canonicalize(dir)?;
        let device = fs::metadata(&dir)?.dev();
        let parent = directory_id(above(&dir), places.uid)?;
        let now = ProjectRecord { version: VERSION, dir, device, parent, stack: stack.to_owned() };
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

    /// Returns what became of the directory, which had this id. It only counts as gone if it would
    /// be found, had it been renamed.
    pub(crate) fn dir_now(&self, id: &str, uid: u32) -> RecordedDir {
        match directory_id(&self.dir, uid) {
            Ok(found) if found == id => return RecordedDir::Present,
            Ok(_) => return RecordedDir::Replaced,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(_) => return RecordedDir::Replaced,
        }
        match self.search(id, uid) {
            Ok(Some(now)) => RecordedDir::Moved(now),
            Ok(None) if self.is_parent_there(uid) => RecordedDir::Gone,
            Ok(None) | Err(_) => RecordedDir::OutOfReach,
        }
    }

    /// Looks for the directory with this id under another name: its own, or that of the first
    /// directory above that no longer exists.
    fn search(&self, id: &str, uid: u32) -> io::Result<Option<PathBuf>> {
        let there = |dir: &&Path| dir.is_dir();
        let above = self.dir.ancestors().skip(1).find(there).unwrap_or(Path::new("/"));
        let mut missing = self.dir.strip_prefix(above).unwrap_or(&self.dir).components();
        missing.next();
        let mut entries = fs::read_dir(above)?;
        for entry in entries.by_ref().take(MAX_SEARCHED) {
            let path = entry?.path();
            let path: PathBuf = path.components().chain(missing.clone()).collect();
            if directory_id(&path, uid).is_ok_and(|found| found == id) {
                return Ok(Some(path));
            }
        }
        match entries.next() {
            None => Ok(None),
            Some(_) => Err(io::Error::other("too many entries")),
        }
    }

    /// Whether the directory above is the recorded one, on the same file system.
    fn is_parent_there(&self, uid: u32) -> bool {
        let parent = above(&self.dir);
        directory_id(parent, uid).is_ok_and(|found| found == self.parent)
            && fs::metadata(parent).is_ok_and(|found| found.dev() == self.device)
    }
}

/// Percent-encoded, since a path may not be UTF-8.
mod encoded_path {
    use std::ffi::OsString;
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    use std::path::{Path, PathBuf};

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::encoding::{percent_decode_bytes, percent_encode};

    pub fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = String::new();
        percent_encode(path.as_os_str().as_bytes(), &mut text);
        serializer.serialize_str(&text)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = percent_decode_bytes(&text);
        let bytes = bytes.ok_or_else(|| D::Error::custom("path is not percent-encoded"))?;
        Ok(OsString::from_vec(bytes).into())
    }
}

fn above(dir: &Path) -> &Path {
    dir.parent().unwrap_or(dir)
}

fn file_in(projects: &Path, id: &str) -> PathBuf {
    projects.join(format!("{id}.json"))
}
