use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::clock::FileTime;
use super::cover::{Cover, Use};
use super::entry::Entry;
use super::mark::Mark;
use super::pending::{Step, step};
use super::route::Route;
use super::touch::Touch;

/// Folders may appear while the nearest ones are looked for; this often is enough for any honest tree.
const ROUNDS_MAX: usize = 8;

/// Single files that are watched whether they are there or not.
#[derive(Debug, Default)]
pub(super) struct Files {
    known: BTreeMap<PathBuf, Known>,
    /// The folders watched for them.
    folders: BTreeSet<PathBuf>,
}

#[derive(Debug)]
struct Known {
    /// Where events about it come from: the path without links, and where it leads if it is a link itself.
    paths: BTreeSet<PathBuf>,
    /// `None`: not there.
    mark: Option<Mark>,
}

impl Files {
    /// Replaces what is watched. Gives the places of those that are to be looked at when they have settled: those that were
    /// written after `since`, because whoever wrote them may not have finished; and those that were watched before and are
    /// not what they were when they were compared last. Who called this has read the files since, and may have seen
    /// more than was told: a file that was gone for a moment and is now as it was has changed twice for him.
    pub fn set(
        &mut self,
        files: &BTreeSet<PathBuf>,
        since: FileTime,
        cover: &mut Cover,
    ) -> BTreeSet<PathBuf> {
        self.known.retain(|path, _| files.contains(path));
        let mut late: BTreeSet<PathBuf> = self.differing().map(|(path, _)| path.clone()).collect();
        for path in files {
            if !self.known.contains_key(path) {
                let known = Known { paths: event_paths(path), mark: look_hashed(path) };
                if known.mark.is_some_and(|mark| mark.modified() >= since) {
                    late.insert(path.clone());
                }
                self.known.insert(path.clone(), known);
            }
        }
        late.extend(self.arm(cover));
        let mut places = BTreeSet::new();
        for (_, known) in self.known.iter_mut().filter(|(path, _)| late.contains(*path)) {
            known.mark = Some(Mark::UNSEEN);
            places.extend(known.paths.iter().cloned());
        }
        places
    }

    /// Whether an event on `path` can be about one of them.
    pub fn concerns(&self, path: &Path) -> bool {
        let mut all = self.known.values().flat_map(|known| &known.paths);
        all.any(|file| file.starts_with(path)) || self.folders.contains(path)
    }

    /// Whether `path` is where events about one of them come from.
    pub fn holds(&self, path: &Path) -> bool {
        self.known.values().any(|known| known.paths.contains(path))
    }

    /// Compares all of them; gives those that are not what they were.
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

    /// The places of those of which not even length, time and inode are as they were.
    pub fn glance(&self) -> BTreeSet<PathBuf> {
        self.differing().flat_map(|(_, known)| known.paths.iter().cloned()).collect()
    }

    fn differing(&self) -> impl Iterator<Item = (&PathBuf, &Known)> {
        self.known.iter().filter(|(path, known)| match (look(path), &known.mark) {
            (Some(now), Some(before)) => !now.same_stat(before),
            (None, None) => false,
            (Some(_), None) | (None, Some(_)) => true,
        })
    }

    /// How far the save of one of them has come, after an event on `path` that is about one.
    pub fn step(&self, path: &Path, touch: Touch) -> Step {
        let known = self.known.values().find(|known| known.paths.contains(path));
        let before = known.and_then(|known| known.mark);
        step(touch, before.as_ref(), Entry::at(path)).unwrap_or(Step::Other)
    }

    /// The folders that are watched for them.
    pub fn folders(&self) -> &BTreeSet<PathBuf> {
        &self.folders
    }

    /// Watches the folders that the files are in, or the nearest that are there. Gives the files that
    /// changed before their folder was watched.
    pub fn arm(&mut self, cover: &mut Cover) -> BTreeSet<PathBuf> {
        let mut changed = BTreeSet::new();
        for _ in 0..ROUNDS_MAX {
            let paths = self.known.values().flat_map(|known| &known.paths);
            let need: BTreeSet<PathBuf> =
                paths.filter_map(|path| nearest_folder(path.parent()?)).collect();
            for folder in self.folders.difference(&need) {
                cover.release(folder, Use::Config);
            }
            let new: Vec<PathBuf> = need
                .iter()
                .filter(|folder| !cover.holds_for(folder, Use::Config))
                .cloned()
                .collect();
            self.folders = need;
            if new.is_empty() {
                break;
            }
            cover.watch(new.into_iter(), Use::Config);
            changed.extend(self.compare());
        }
        changed
    }
}

/// The nearest folder at or above `path` that is there.
pub(super) fn nearest_folder(path: &Path) -> Option<PathBuf> {
    path.ancestors().find(|folder| folder.is_dir()).map(Path::to_owned)
}

/// The places where something about `path` can happen: the links on its way, and where it leads.
fn event_paths(path: &Path) -> BTreeSet<PathBuf> {
    let route = Route::of(path);
    let links = route.links.into_iter().filter(|link| !is_top(link));
    links.chain([route.end]).collect()
}

/// Whether this is right below the root, where links are the system's and are not changed for a project.
pub(super) fn is_top(link: &Path) -> bool {
    link.components().count() <= 2
}

fn look_hashed(path: &Path) -> Option<Mark> {
    look(path).map(|mark| mark.hashed(path))
}

fn look(path: &Path) -> Option<Mark> {
    match Entry::at(path) {
        Entry::File(mark) | Entry::Link { mark, folder: false } => Some(mark),
        Entry::Folder | Entry::Link { .. } | Entry::Special => Some(Mark::of_text(b"no file")),
        Entry::Missing => None,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Whoever reads the files may have met a moment that the watch did not.
    #[test]
    fn a_file_that_was_gone_for_a_moment_has_changed_for_who_read_it_then() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().canonicalize().unwrap().join("devstack.toml");
        let other = path.with_file_name("other.toml");
        let wanted = BTreeSet::from([path.clone()]);
        for file in [&path, &other] {
            fs::write(file, "the same").unwrap();
        }
        let mut cover = Cover::new(Default::default(), 100);
        let mut files = Files::default();
        let later = (i64::MAX, 0);
        files.set(&wanted, later, &mut cover);
        assert_eq!(files.set(&wanted, later, &mut cover), BTreeSet::new());
        assert_eq!(files.compare(), BTreeSet::new());
        // Another file with the same bytes: a save that changes nothing, for the watch alone.
        fs::rename(&other, &path).unwrap();
        assert_eq!(files.set(&wanted, later, &mut cover), wanted);
        assert_eq!(files.compare(), wanted);
        assert_eq!(files.set(&wanted, later, &mut cover), BTreeSet::new());
        assert_eq!(files.compare(), BTreeSet::new());
    }
}
