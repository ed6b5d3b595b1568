//! Looks again at what is known: after missed events, after changed ignore files, and in the
//! background.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::file_tree::{DirVisit, FileTree, UnknownFile};
use super::path_kind::PathKind;
use crate::sys::file_clock::FileTime;
use crate::watch::watch_set::WatchSet;

impl FileTree {
    /// Compares a directory with what is known of it; with `deep`, everything below too.
    pub fn resync(&mut self, path: &Path, order: u64, deep: bool, cover: &mut WatchSet) {
        let Some(dir) = self.dirs.get(path) else { return };
        let visit =
            DirVisit { path: path.to_owned(), ids: dir.ids.clone(), above: dir.above.clone() };
        if PathKind::at(path) == PathKind::Dir {
            self.walk_levels(vec![visit], UnknownFile::New(order), deep, cover);
        } else {
            self.drop_below(path, Some(order), cover);
        }
    }

    pub fn resync_all(&mut self, order: u64, cover: &mut WatchSet) {
        let tops: Vec<PathBuf> = self.dirs.keys().cloned().collect();
        let mut done: Option<PathBuf> = None;
        for path in tops {
            if done.as_ref().is_none_or(|top| !path.starts_with(top)) {
                self.resync(&path, order, true, cover);
                done = Some(path);
            }
        }
    }

    /// Applies changed ignore rules. What they add or remove does not count as changed.
    pub fn refresh(&mut self, now: FileTime, cover: &mut WatchSet) {
        for path in std::mem::take(&mut self.stale) {
            let Some(dir) = self.dirs.get(&path) else { continue };
            let (ids, above) = (dir.ids.clone(), dir.above.clone());
            let old = self.take_below(&path);
            let visit = DirVisit { path, ids, above };
            self.walk_levels(vec![visit], UnknownFile::Old(now), false, cover);
            self.restore_fingerprints(old, cover);
        }
    }

    /// Takes files that a walk found newly written. They must settle first: their writer may not
    /// have finished, and a change reported now would be reported again.
    pub fn take_late(&mut self) -> BTreeSet<PathBuf> {
        std::mem::take(&mut self.late)
    }

    /// Hashes a few files, so that a later save of the same bytes is recognized. Returns the bytes
    /// read, or `None` when all files are hashed.
    pub fn hash_some(&mut self) -> Option<u64> {
        let path = self.unread.pop_first()?;
        let Some(dir) = self.dirs.get_mut(&path) else { return Some(0) };
        let mut bytes = 0;
        for (name, mark) in dir.files.iter_mut().filter(|(_, mark)| !mark.is_hashed()) {
            *mark = mark.with_hash_if_unchanged(&path.join(name));
            bytes += if mark.is_hashed() { mark.len() } else { 0 };
        }
        Some(bytes)
    }
}
