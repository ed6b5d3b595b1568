use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::events::{PathEvent, SaveStage, save_stage};
use super::tree::{Fingerprint, PathKind, ResolvedPath};
use super::watch_set::{WatchReason, WatchSet};
use crate::sys::file_clock::FileTime;

/// Directories may appear while the nearest ones are searched; this many rounds suffice for any
/// sane tree.
pub(super) const ROUNDS_MAX: usize = 8;

/// Single files that are watched whether they exist or not.
#[derive(Debug, Default)]
pub(super) struct WatchedFiles {
    known: BTreeMap<PathBuf, WatchedFile>,
    dirs: BTreeSet<PathBuf>,
}

#[derive(Debug)]
struct WatchedFile {
    /// The paths that events about it have: the symlinks on its way and the resolved path.
    paths: BTreeSet<PathBuf>,
    /// `None`: does not exist.
    mark: Option<Fingerprint>,
}

impl WatchedFiles {
    /// Replaces the set of files. Returns the event paths of files to compare once they settle:
    /// files modified after `since`, whose writer may not have finished, and files that were
    /// watched before and have changed since the last comparison. The caller has read the files in
    /// between and may have seen a state that was never reported: a file that briefly disappeared
    /// and is now as before changed twice for the caller.
    pub fn set(
        &mut self,
        files: &BTreeSet<PathBuf>,
        since: FileTime,
        cover: &mut WatchSet,
    ) -> BTreeSet<PathBuf> {
        self.known.retain(|path, _| files.contains(path));
        let mut late: BTreeSet<PathBuf> = self.differing().map(|(path, _)| path.clone()).collect();
        for path in files {
            if !self.known.contains_key(path) {
                let known = WatchedFile { paths: event_paths(path), mark: look_hashed(path) };
                if known.mark.is_some_and(|mark| mark.modified() >= since) {
                    late.insert(path.clone());
                }
                self.known.insert(path.clone(), known);
            }
        }
        late.extend(self.watch_parents(cover));
        let mut places = BTreeSet::new();
        for (_, known) in self.known.iter_mut().filter(|(path, _)| late.contains(*path)) {
            known.mark = Some(Fingerprint::UNSEEN);
            places.extend(known.paths.iter().cloned());
        }
        places
    }

    /// Returns whether an event on `path` can be about one of the files.
    pub fn may_concern(&self, path: &Path) -> bool {
        let mut all = self.known.values().flat_map(|known| &known.paths);
        all.any(|file| file.starts_with(path)) || self.dirs.contains(path)
    }

    /// Returns whether events about one of the files have this path.
    pub fn holds(&self, path: &Path) -> bool {
        self.known.values().any(|known| known.paths.contains(path))
    }

    /// Compares all files and returns those that changed.
    pub fn compare(&mut self) -> BTreeSet<PathBuf> {
        let mut changed = BTreeSet::new();
        for (path, known) in &mut self.known {
            let now = look_hashed(path);
            let differs = match (&now, &known.mark) {
                (Some(now), Some(before)) => now.differs(before),
                (None, None) => false,
                (Some(_), None) | (None, Some(_)) => true,
            };
            if differs {
                changed.insert(path.clone());
            }
            known.mark = now;
            known.paths = event_paths(path);
        }
        changed
    }

    /// Event paths of files whose size, mtime or inode changed.
    pub fn changed_stat(&self) -> BTreeSet<PathBuf> {
        self.differing().flat_map(|(_, known)| known.paths.iter().cloned()).collect()
    }

    fn differing(&self) -> impl Iterator<Item = (&PathBuf, &WatchedFile)> {
        self.known.iter().filter(|(path, known)| match (look(path), &known.mark) {
            (Some(now), Some(before)) => !now.stat_matches(before),
            (None, None) => false,
            (Some(_), None) | (None, Some(_)) => true,
        })
    }

    /// How far a save has come, after an event on `path` that is about one of the files.
    pub fn step(&self, path: &Path, touch: PathEvent) -> SaveStage {
        let known = self.known.values().find(|known| known.paths.contains(path));
        let before = known.and_then(|known| known.mark);
        save_stage(touch, before.as_ref(), PathKind::at(path)).unwrap_or(SaveStage::Other)
    }

    pub fn dirs(&self) -> &BTreeSet<PathBuf> {
        &self.dirs
    }

    /// Watches the parent directories of the files, or the nearest existing ones. Returns files
    /// that changed before their directory was watched.
    pub fn watch_parents(&mut self, cover: &mut WatchSet) -> BTreeSet<PathBuf> {
        let mut changed = BTreeSet::new();
        for _ in 0..ROUNDS_MAX {
            let paths = self.known.values().flat_map(|known| &known.paths);
            let need: BTreeSet<PathBuf> =
                paths.filter_map(|path| nearest_dir(path.parent()?)).collect();
            if !cover.set_watched(&mut self.dirs, need, WatchReason::Config) {
                break;
            }
            changed.extend(self.compare());
        }
        changed
    }
}

/// Returns the nearest existing directory at or above `path`.
pub(super) fn nearest_dir(path: &Path) -> Option<PathBuf> {
    path.ancestors().find(|dir| dir.is_dir()).map(Path::to_owned)
}

/// The paths on which events about `path` can occur: symlinks on its way and the resolved path.
fn event_paths(path: &Path) -> BTreeSet<PathBuf> {
    let route = ResolvedPath::of(path);
    let links = route.links.into_iter().filter(|link| !is_below_root(link));
    links.chain([route.end]).collect()
}

/// Returns whether a symlink is directly below the root; those belong to the system and do not
/// change for a project.
pub(super) fn is_below_root(link: &Path) -> bool {
    link.components().count() <= 2
}

fn look_hashed(path: &Path) -> Option<Fingerprint> {
    look(path).map(|mark| mark.with_hash(path))
}

fn look(path: &Path) -> Option<Fingerprint> {
    match PathKind::at(path) {
        PathKind::File(mark) | PathKind::Link { mark, dir: false } => Some(mark),
        PathKind::Dir | PathKind::Link { .. } | PathKind::Special | PathKind::Output => {
            Some(Fingerprint::of_text(b"no file"))
        }
        PathKind::Missing => None,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The reader of the files may have seen a state that the watcher did not.
    #[test]
    fn file_that_disappeared_for_a_moment_has_changed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().canonicalize().unwrap().join("devstack.toml");
        let other = path.with_file_name("other.toml");
        let wanted = BTreeSet::from([path.clone()]);
        for file in [&path, &other] {
            fs::write(file, "the same").unwrap();
        }
        let mut cover = WatchSet::new(Default::default(), 100);
        let mut files = WatchedFiles::default();
        let later = (i64::MAX, 0);
        files.set(&wanted, later, &mut cover);
        assert_eq!(files.set(&wanted, later, &mut cover), BTreeSet::new());
        assert_eq!(files.compare(), BTreeSet::new());
        // Another file with the same bytes: for the watcher alone, a save that changes nothing.
        fs::rename(&other, &path).unwrap();
        assert_eq!(files.set(&wanted, later, &mut cover), wanted);
        assert_eq!(files.compare(), wanted);
        assert_eq!(files.set(&wanted, later, &mut cover), BTreeSet::new());
        assert_eq!(files.compare(), BTreeSet::new());
    }
}
