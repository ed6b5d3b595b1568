use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::dir_listing::DirListing;
pub(crate) use super::fingerprint::Fingerprint;
pub(crate) use super::path_kind::PathKind;
pub(crate) use super::watched_dir::WatchedDir;
use crate::sys::file_clock::FileTime;
use crate::watch::events::{PathChange, PathEvent, SaveStage, save_stage};
pub(crate) use crate::watch::filter::{IgnoreRules, RULE_FILES, WatchFilter};
use crate::watch::output_files::OutputFiles;
pub(crate) use crate::watch::watch_set::{WatchReason, WatchSet};

use super::tracked_links::LinkTable;

/// Maximum number of known files, about 150 bytes each. Events of any further files count without a
/// comparison.
const MAX_FILES: usize = 1_000_000;

/// Number of a filter. Never reused.
pub(crate) type FilterId = u32;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChangedFile {
    /// Sequence number of its event.
    pub order: u64,
    pub path: PathBuf,
    /// The filters that accept it.
    pub ids: BTreeSet<FilterId>,
}

/// What a newly found file means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnknownFile {
    /// Nothing, unless it was modified after this time: see [`FileTree::take_late`].
    Old(FileTime),
    /// A change with this sequence number.
    New(u64),
}

/// Everything known of the files that filters accept.
#[derive(Debug, Default)]
pub(crate) struct FileTree {
    pub(super) filters: BTreeMap<FilterId, WatchFilter>,
    pub(super) dirs: BTreeMap<PathBuf, WatchedDir>,
    /// Directories with changed ignore files.
    pub(super) stale: BTreeSet<PathBuf>,
    /// Directories with files not yet hashed.
    pub(super) unread: BTreeSet<PathBuf>,
    pub(super) changed: Vec<ChangedFile>,
    /// Files found to be newly written.
    pub(super) late: BTreeSet<PathBuf>,
    pub(super) links: LinkTable,
    /// Filters with a symlink that leads elsewhere now.
    pub(super) relinked: BTreeSet<FilterId>,
    /// Targets of new symlinks, still to be walked for these filters.
    pub(super) linked: BTreeMap<PathBuf, BTreeSet<FilterId>>,
    output: OutputFiles,
    files: usize,
}

/// A directory to walk for these filters.
pub(super) struct DirVisit {
    pub(super) path: PathBuf,
    pub(super) ids: BTreeSet<FilterId>,
    pub(super) above: Arc<IgnoreRules>,
}

impl FileTree {
    /// Creates an empty tree that ignores the output of devstack.
    pub fn without(output: OutputFiles) -> FileTree {
        FileTree { output, ..FileTree::default() }
    }

    /// Adds a filter; [`FileTree::walk`] then finds its files.
    pub fn add(&mut self, id: FilterId, filter: WatchFilter) {
        self.filters.insert(id, filter);
    }

    /// Removes a filter and what only it accepts.
    pub fn remove(&mut self, id: FilterId, cover: &mut WatchSet) {
        self.filters.remove(&id);
        self.links.forget_id(id);
        let mut bare = Vec::new();
        for (path, dir) in &mut self.dirs {
            if dir.ids.remove(&id) && dir.ids.is_empty() {
                bare.push(path.clone());
            }
        }
        for path in bare {
            cover.release(&path, WatchReason::Tree);
            self.remove_dir(&path);
        }
    }

    /// The resolved directories where filters start.
    pub fn starts(&self) -> BTreeSet<PathBuf> {
        let named = self.filters.values().flat_map(WatchFilter::roots);
        named.map(|start| self.links.end(&start).unwrap_or(start)).collect()
    }

    /// Directories where filters start, and targets of symlinks, that do not exist.
    pub fn absent(&self) -> BTreeSet<PathBuf> {
        let absent = |start: &PathBuf| !self.dirs.contains_key(start);
        self.starts().into_iter().chain(self.links.dangling()).filter(absent).collect()
    }

    /// Paths where a filter starts and that do not exist.
    pub fn absent_of(&self, id: FilterId) -> Vec<PathBuf> {
        let starts = self.filters.get(&id).map(WatchFilter::roots).unwrap_or_default();
        let end = |start: &PathBuf| self.links.end(start).unwrap_or_else(|| start.clone());
        let unknown = starts.into_iter().filter(|start| !self.dirs.contains_key(&end(start)));
        unknown.filter(|start| PathKind::at(start) == PathKind::Missing).collect()
    }

    pub fn dirs_of(&self, ids: &BTreeSet<FilterId>) -> BTreeSet<PathBuf> {
        let of = self.dirs.iter().filter(|(_, dir)| !dir.ids.is_disjoint(ids));
        of.map(|(path, _)| path.clone()).collect()
    }

    /// The topmost known directories at or below `place`.
    pub fn tops_below(&self, place: &Path) -> Vec<PathBuf> {
        let mut tops: Vec<PathBuf> = Vec::new();
        for path in self.dirs.range(place.to_owned()..).map(|(path, _)| path) {
            if !path.starts_with(place) {
                break;
            }
            if tops.last().is_none_or(|top| !path.starts_with(top)) {
                tops.push(path.clone());
            }
        }
        tops
    }

    /// How far a save of a path has come, after events on it. `None`: the path does not matter.
    pub fn save_stage(&self, path: &Path, touch: PathEvent) -> Option<SaveStage> {
        let linked = self.links.at(path).filter_map(|(name, link)| match link.ids.is_empty() {
            true => None,
            false if name == path => Some(SaveStage::Other),
            false => self.step_here(name, touch).or(Some(SaveStage::Other)),
        });
        linked.chain(self.step_here(path, touch)).next()
    }

    fn step_here(&self, path: &Path, touch: PathEvent) -> Option<SaveStage> {
        let whole =
            matches!(touch.was, PathChange::Unchanged | PathChange::Moved | PathChange::Reverted);
        if self.dirs.contains_key(path) {
            return Some(if whole { SaveStage::Other } else { SaveStage::Partial });
        }
        let (parent, name) = (path.parent()?, path.file_name()?);
        let dir = self.dirs.get(parent)?;
        if RULE_FILES.iter().any(|rules| name == *rules) {
            return Some(SaveStage::Other);
        }
        let before = dir.files.get(name);
        if before.is_none() && dir.filters_for_file(&self.filters, path).is_empty() {
            let enters = || !dir.filters_for_dir(&self.filters, &dir.ids, path).is_empty();
            let is_dir =
                || matches!(PathKind::at(path), PathKind::Dir | PathKind::Link { dir: true, .. });
            return (touch.is_create_or_remove() && is_dir() && enters())
                .then_some(SaveStage::Partial);
        }
        match self.entry(path) {
            // Nothing that could count.
            PathKind::Special if before.is_none() => None,
            entry => save_stage(touch, before, entry),
        }
    }

    /// Stats a path.
    pub(super) fn entry(&self, path: &Path) -> PathKind {
        match PathKind::at(path) {
            PathKind::File(mark) | PathKind::Link { mark, .. }
                if self.output.wrote(path, mark.file()) =>
            {
                PathKind::Output
            }
            entry => entry,
        }
    }

    pub fn take_changed(&mut self) -> Vec<ChangedFile> {
        std::mem::take(&mut self.changed)
    }

    pub fn compare_path(&mut self, path: &Path, touch: PathEvent, cover: &mut WatchSet) {
        let links: Vec<PathBuf> = self.links.at(path).map(|(name, _)| name.to_owned()).collect();
        for name in links.iter().filter(|name| *name != path) {
            self.look_here(name, touch, cover);
        }
        self.look_here(path, touch, cover);
        for name in links {
            self.recheck_link(&name, touch.order);
        }
    }

    fn look_here(&mut self, path: &Path, touch: PathEvent, cover: &mut WatchSet) {
        let entry = self.entry(path);
        if self.dirs.contains_key(path) {
            if entry != PathKind::Dir {
                self.drop_below(path, Some(touch.order), cover);
            } else if !cover.holds(path) {
                return self.resync(path, touch.order, true, cover);
            } else {
                return;
            }
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return };
        let Some(dir) = self.dirs.get_mut(parent) else { return };
        if RULE_FILES.iter().any(|rules| name == *rules) {
            self.stale.insert(parent.to_owned());
        }
        match entry {
            PathKind::Dir => {
                let ids = dir.filters_for_dir(&self.filters, &dir.ids, path);
                if !ids.is_empty() {
                    dir.inner.insert(name.to_owned());
                    let above = dir.inner_rules(path);
                    let visit = DirVisit { path: path.to_owned(), ids, above };
                    self.walk_levels(vec![visit], UnknownFile::New(touch.order), true, cover);
                }
            }
            PathKind::File(_) | PathKind::Link { .. } => {
                let ids = self.concerned(parent, path, entry);
                if !ids.is_empty() && self.store(parent, name, mark(entry).with_hash(path)) {
                    let path = path.to_owned();
                    self.changed.push(ChangedFile { order: touch.order, path, ids });
                }
            }
            PathKind::Missing | PathKind::Special => self.remove_file(parent, name, touch.order),
            PathKind::Output => {}
        }
    }

    /// The filters that a file or symlink in a known directory concerns.
    pub(super) fn concerned(
        &mut self,
        parent: &Path,
        path: &Path,
        entry: PathKind,
    ) -> BTreeSet<FilterId> {
        let Some(dir) = self.dirs.get(parent) else { return BTreeSet::new() };
        let mut ids = dir.filters_for_file(&self.filters, path);
        if let PathKind::Link { dir: to_dir, .. } = entry {
            if to_dir {
                ids.extend(dir.filters_for_dir(&self.filters, &dir.ids, path));
            }
            if !ids.is_empty() {
                self.found_link(path, &ids, to_dir);
            }
        } else {
            self.lost_link(path);
        }
        ids
    }

    /// What differs in a directory by a cheap stat, without reading files; the directory itself
    /// when it is gone.
    pub fn changed_stat(&self, path: &Path) -> Vec<PathBuf> {
        let Some(dir) = self.dirs.get(path) else { return Vec::new() };
        let Some(listing) = DirListing::of(path) else { return vec![path.to_owned()] };
        let mut there: BTreeSet<&OsString> = listing.dirs.iter().collect();
        let mut differing = Vec::new();
        for name in &listing.files {
            let path = path.join(name);
            let before = dir.files.get(name);
            if before.is_none() && dir.filters_for_file(&self.filters, &path).is_empty() {
                continue;
            }
            there.insert(name);
            let same = match (self.entry(&path), before) {
                (entry @ (PathKind::File(_) | PathKind::Link { .. }), Some(before)) => {
                    mark(entry).stat_matches(before)
                }
                (PathKind::File(_) | PathKind::Link { .. } | PathKind::Dir, _) => false,
                (PathKind::Missing | PathKind::Special, before) => before.is_none(),
                (PathKind::Output, _) => true,
            };
            differing.extend((!same).then_some(path));
        }
        let known = |name: &&OsString| dir.inner.contains(*name);
        for name in listing.dirs.iter().filter(|name| !known(name)) {
            let path = path.join(name);
            let enters = !dir.filters_for_dir(&self.filters, &dir.ids, &path).is_empty();
            differing.extend(enters.then_some(path));
        }
        let gone = dir.files.keys().chain(&dir.inner).filter(|name| !there.contains(name));
        differing.extend(gone.map(|name| path.join(name)));
        differing
    }

    /// Restores fingerprints of directories that were removed and found again, and releases the
    /// others.
    pub(super) fn restore_fingerprints(
        &mut self,
        old: impl IntoIterator<Item = (PathBuf, WatchedDir)>,
        cover: &mut WatchSet,
    ) {
        for (path, dir) in old {
            match self.dirs.get_mut(&path) {
                Some(new) => new.files.iter_mut().for_each(|(name, mark)| {
                    *mark = dir.files.get(name).copied().unwrap_or(*mark);
                }),
                None => cover.release(&path, WatchReason::Tree),
            }
        }
    }

    /// Stores the fingerprint of a file; returns whether it changed.
    pub(super) fn store(&mut self, dir: &Path, name: &OsStr, mark: Fingerprint) -> bool {
        let Some(dir) = self.dirs.get_mut(dir) else { return false };
        match dir.files.get_mut(name) {
            Some(before) => {
                let differs = mark.differs(before);
                *before = mark;
                differs
            }
            None => {
                if self.files < MAX_FILES {
                    self.files += 1;
                    dir.files.insert(name.to_owned(), mark);
                }
                true
            }
        }
    }

    /// Removes a file, which is a change.
    pub(super) fn remove_file(&mut self, parent: &Path, name: &OsStr, order: u64) {
        let Some(dir) = self.dirs.get_mut(parent) else { return };
        if dir.files.remove(name).is_none() {
            return;
        }
        self.files -= 1;
        let path = parent.join(name);
        let mut ids = dir.filters_for_file(&self.filters, &path);
        ids.extend(self.links.ids(&path));
        self.lost_link(&path);
        if !ids.is_empty() {
            self.changed.push(ChangedFile { order, path, ids });
        }
    }

    /// Removes a directory and everything below it; with `order`, the end of each file is a change.
    pub(super) fn drop_below(&mut self, top: &Path, order: Option<u64>, cover: &mut WatchSet) {
        for (path, dir) in self.take_below(top) {
            cover.release(&path, WatchReason::Tree);
            let Some(order) = order else { continue };
            for name in dir.files.keys() {
                let path = path.join(name);
                let ids = dir.filters_for_file(&self.filters, &path);
                if !ids.is_empty() {
                    self.changed.push(ChangedFile { order, path, ids });
                }
            }
        }
    }

    pub(super) fn take_below(&mut self, top: &Path) -> Vec<(PathBuf, WatchedDir)> {
        let below = self.dirs.range(top.to_owned()..).map(|(path, _)| path);
        let paths: Vec<PathBuf> = below.take_while(|path| path.starts_with(top)).cloned().collect();
        let taken = paths.into_iter().filter_map(|path| {
            let dir = self.remove_dir(&path)?;
            Some((path, dir))
        });
        taken.collect()
    }

    pub(super) fn remove_dir(&mut self, path: &Path) -> Option<WatchedDir> {
        let dir = self.dirs.remove(path)?;
        dir.files.keys().for_each(|name| self.links.forget(&path.join(name)));
        self.files -= dir.files.len();
        if let (Some(parent), Some(name)) = (path.parent(), path.file_name())
            && let Some(parent) = self.dirs.get_mut(parent)
        {
            parent.inner.remove(name);
        }
        Some(dir)
    }
}

/// The fingerprint of a path that counts as a file.
pub(super) fn mark(entry: PathKind) -> Fingerprint {
    match entry {
        PathKind::File(mark) | PathKind::Link { mark, .. } => mark,
        PathKind::Missing | PathKind::Dir | PathKind::Special | PathKind::Output => {
            Fingerprint::UNSEEN
        }
    }
}
