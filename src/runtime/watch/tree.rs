use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::clock::FileTime;
use super::cover::{Cover, Use};
use super::entry::Entry;
use super::filter::Filter;
use super::folder::Folder;
use super::listing::Listing;
use super::mark::Mark;
use super::pending::{Step, step};
use super::rules::{RULE_FILES, Rules};
use super::touch::{Touch, Was};

mod links;
mod walk;

use links::Links;

/// Files that are remembered at most, about 150 bytes each. Events of files beyond count unseen, without a
/// comparison.
const FILES_MAX: usize = 1_000_000;

/// The number of a filter. Never used twice.
pub(super) type Id = u32;

/// A file that is not what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Changed {
    /// The place of its event among all events.
    pub order: u64,
    pub path: PathBuf,
    /// The filters that want it.
    pub ids: BTreeSet<Id>,
}

/// What a file means that was not known before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unknown {
    /// Nothing, unless it was written after this time: see [`Tree::take_late`].
    Old(FileTime),
    /// A change whose event has this place.
    New(u64),
}

/// Everything known of the files that some filter wants.
#[derive(Debug, Default)]
pub(super) struct Tree {
    filters: BTreeMap<Id, Filter>,
    folders: BTreeMap<PathBuf, Folder>,
    /// Folders whose rules changed.
    stale: BTreeSet<PathBuf>,
    /// Folders with files whose content nobody has read yet.
    unread: BTreeSet<PathBuf>,
    /// Files that were found newly written.
    late: BTreeSet<PathBuf>,
    links: Links,
    /// Filters for which a link leads elsewhere now.
    relinked: BTreeSet<Id>,
    /// Folders that a new link leads to, to be looked into for these filters.
    linked: BTreeMap<PathBuf, BTreeSet<Id>>,
    /// Files that never count: device and number.
    own: BTreeSet<(u64, u64)>,
    files: usize,
}

/// A folder to look into, for these filters.
struct Visit {
    path: PathBuf,
    ids: BTreeSet<Id>,
    above: Arc<Rules>,
}

impl Tree {
    /// A tree of nothing, in which files with these devices and numbers never count.
    pub fn without(own: BTreeSet<(u64, u64)>) -> Tree {
        Tree { own, ..Tree::default() }
    }

    /// Takes a filter in; [`Tree::walk`] then looks for its files.
    pub fn add(&mut self, id: Id, filter: Filter) {
        self.filters.insert(id, filter);
    }

    /// Forgets a filter and what only it wanted.
    pub fn remove(&mut self, id: Id, cover: &mut Cover) {
        self.filters.remove(&id);
        self.links.forget_id(id);
        let mut bare = Vec::new();
        for (path, folder) in &mut self.folders {
            if folder.ids.remove(&id) && folder.ids.is_empty() {
                bare.push(path.clone());
            }
        }
        for path in bare {
            cover.release(&path, Use::Tree);
            self.take_out(&path);
        }
    }

    /// The folders, without links, at which filters begin.
    pub fn starts(&self) -> BTreeSet<PathBuf> {
        let named = self.filters.values().flat_map(Filter::starts);
        named.map(|start| self.links.end(&start).unwrap_or(start)).collect()
    }

    /// Those that are not there, and those that links should lead to.
    pub fn absent(&self) -> BTreeSet<PathBuf> {
        let absent = |start: &PathBuf| !self.folders.contains_key(start);
        self.starts().into_iter().chain(self.links.dangling()).filter(absent).collect()
    }

    /// The places at which a filter begins and where nothing is.
    pub fn absent_of(&self, id: Id) -> Vec<PathBuf> {
        let starts = self.filters.get(&id).map(Filter::starts).unwrap_or_default();
        let end = |start: &PathBuf| self.links.end(start).unwrap_or_else(|| start.clone());
        let unknown = starts.into_iter().filter(|start| !self.folders.contains_key(&end(start)));
        unknown.filter(|start| Entry::at(start) == Entry::Missing).collect()
    }

    /// The folders that these filters look into.
    pub fn folders_of(&self, ids: &BTreeSet<Id>) -> BTreeSet<PathBuf> {
        let of = self.folders.iter().filter(|(_, folder)| !folder.ids.is_disjoint(ids));
        of.map(|(path, _)| path.clone()).collect()
    }

    /// The highest known folders at or below `place`.
    pub fn tops_below(&self, place: &Path) -> Vec<PathBuf> {
        let mut tops: Vec<PathBuf> = Vec::new();
        for path in self.folders.range(place.to_owned()..).map(|(path, _)| path) {
            if !path.starts_with(place) {
                break;
            }
            if tops.last().is_none_or(|top| !path.starts_with(top)) {
                tops.push(path.clone());
            }
        }
        tops
    }

    /// How far the save of a path has come, after events on it. `None`: it is nobody's.
    pub fn step(&self, path: &Path, touch: Touch) -> Option<Step> {
        let linked = self.links.at(path).filter_map(|(name, link)| match link.ids.is_empty() {
            true => None,
            false if name == path => Some(Step::Other),
            false => self.step_here(name, touch).or(Some(Step::Other)),
        });
        linked.chain(self.step_here(path, touch)).next()
    }

    fn step_here(&self, path: &Path, touch: Touch) -> Option<Step> {
        let whole = matches!(touch.was, Was::There | Was::Moved | Was::Back);
        if self.folders.contains_key(path) {
            return Some(if whole { Step::Other } else { Step::Part });
        }
        let (parent, name) = (path.parent()?, path.file_name()?);
        let folder = self.folders.get(parent)?;
        if RULE_FILES.iter().any(|rules| name == *rules) {
            return Some(Step::Other);
        }
        let before = folder.files.get(name);
        if before.is_none() && folder.wanting(&self.filters, path).is_empty() {
            let enters = !folder.entering(&self.filters, &folder.ids, path).is_empty();
            let is_folder =
                || matches!(Entry::at(path), Entry::Folder | Entry::Link { folder: true, .. });
            return (enters && touch.is_structural() && is_folder()).then_some(Step::Part);
        }
        match self.entry(path) {
            // What devstack itself writes, or nothing that could count.
            Entry::Special if before.is_none() => None,
            entry => step(touch, before, entry),
        }
    }

    /// What a path is. What never counts is not seen.
    fn entry(&self, path: &Path) -> Entry {
        match Entry::at(path) {
            Entry::File(mark) | Entry::Link { mark, .. } if self.own.contains(&mark.inode()) => {
                Entry::Special
            }
            entry => entry,
        }
    }

    /// Compares what one event was about.
    pub fn look(&mut self, path: &Path, touch: Touch, cover: &mut Cover, out: &mut Vec<Changed>) {
        let links: Vec<PathBuf> = self.links.at(path).map(|(name, _)| name.to_owned()).collect();
        for name in links.iter().filter(|name| *name != path) {
            self.look_here(name, touch, cover, out);
        }
        self.look_here(path, touch, cover, out);
        for name in links {
            self.follow(&name, touch.order, out);
        }
    }

    fn look_here(&mut self, path: &Path, touch: Touch, cover: &mut Cover, out: &mut Vec<Changed>) {
        let entry = self.entry(path);
        if self.folders.contains_key(path) {
            if entry != Entry::Folder {
                self.drop_below(path, Some(touch.order), cover, out);
            } else if !cover.holds(path) {
                return self.resync(path, touch.order, true, cover, out);
            } else {
                return;
            }
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return };
        let Some(folder) = self.folders.get_mut(parent) else { return };
        if RULE_FILES.iter().any(|rules| name == *rules) {
            self.stale.insert(parent.to_owned());
        }
        match entry {
            Entry::Folder => {
                let ids = folder.entering(&self.filters, &folder.ids, path);
                if !ids.is_empty() {
                    folder.inner.insert(name.to_owned());
                    let above = folder.inner_rules(path);
                    let visit = Visit { path: path.to_owned(), ids, above };
                    self.visit(vec![visit], Unknown::New(touch.order), true, cover, out);
                }
            }
            Entry::File(_) | Entry::Link { .. } => {
                let ids = self.concerned(parent, path, entry);
                if !ids.is_empty() && self.store(parent, name, mark(entry).hashed(path)) {
                    out.push(Changed { order: touch.order, path: path.to_owned(), ids });
                }
            }
            Entry::Missing | Entry::Special => self.lose(parent, name, touch.order, out),
        }
    }

    /// The filters that a file in a known folder concerns, or a link.
    fn concerned(&mut self, parent: &Path, path: &Path, entry: Entry) -> BTreeSet<Id> {
        let Some(folder) = self.folders.get(parent) else { return BTreeSet::new() };
        let mut ids = folder.wanting(&self.filters, path);
        if let Entry::Link { folder: to_folder, .. } = entry {
            if to_folder {
                ids.extend(folder.entering(&self.filters, &folder.ids, path));
            }
            if !ids.is_empty() {
                self.found_link(path, &ids, to_folder);
            }
        } else {
            self.lost_link(path);
        }
        ids
    }

    /// What in a folder is not as it was, as far as that can be seen without reading files. The folder itself when it
    /// is none any more.
    pub fn glance(&self, path: &Path) -> Vec<PathBuf> {
        let Some(folder) = self.folders.get(path) else { return Vec::new() };
        let Some(listing) = Listing::of(path) else { return vec![path.to_owned()] };
        let mut there: BTreeSet<&OsString> = listing.folders.iter().collect();
        let mut differing = Vec::new();
        for name in &listing.files {
            let path = path.join(name);
            let before = folder.files.get(name);
            if before.is_none() && folder.wanting(&self.filters, &path).is_empty() {
                continue;
            }
            there.insert(name);
            let same = match (self.entry(&path), before) {
                (entry @ (Entry::File(_) | Entry::Link { .. }), Some(before)) => {
                    mark(entry).same_stat(before)
                }
                (Entry::File(_) | Entry::Link { .. } | Entry::Folder, _) => false,
                (Entry::Missing | Entry::Special, before) => before.is_none(),
            };
            differing.extend((!same).then_some(path));
        }
        let known = |name: &&OsString| folder.inner.contains(*name);
        for name in listing.folders.iter().filter(|name| !known(name)) {
            let path = path.join(name);
            let enters = !folder.entering(&self.filters, &folder.ids, &path).is_empty();
            differing.extend(enters.then_some(path));
        }
        let gone = folder.files.keys().chain(&folder.inner).filter(|name| !there.contains(name));
        differing.extend(gone.map(|name| path.join(name)));
        differing
    }

    /// Compares a folder with what was known of it, and with `deep` everything below it.
    pub fn resync(
        &mut self,
        path: &Path,
        order: u64,
        deep: bool,
        cover: &mut Cover,
        out: &mut Vec<Changed>,
    ) {
        let Some(folder) = self.folders.get(path) else { return };
        let visit =
            Visit { path: path.to_owned(), ids: folder.ids.clone(), above: folder.above.clone() };
        if Entry::at(path) == Entry::Folder {
            self.visit(vec![visit], Unknown::New(order), deep, cover, out);
        } else {
            self.drop_below(path, Some(order), cover, out);
        }
    }

    /// Compares everything.
    pub fn resync_all(&mut self, order: u64, cover: &mut Cover) -> Vec<Changed> {
        let mut changed = Vec::new();
        let tops: Vec<PathBuf> = self.folders.keys().cloned().collect();
        let mut done: Option<PathBuf> = None;
        for path in tops {
            if done.as_ref().is_none_or(|top| !path.starts_with(top)) {
                self.resync(&path, order, true, cover, &mut changed);
                done = Some(path);
            }
        }
        changed
    }

    /// Applies ignore rules that changed. What they let in or out did not change by that.
    pub fn refresh(&mut self, now: FileTime, cover: &mut Cover) -> Vec<Changed> {
        let mut changed = Vec::new();
        for path in std::mem::take(&mut self.stale) {
            let Some(folder) = self.folders.get(&path) else { continue };
            let (ids, above) = (folder.ids.clone(), folder.above.clone());
            let old = self.take_below(&path);
            let visit = Visit { path, ids, above };
            self.visit(vec![visit], Unknown::Old(now), false, cover, &mut changed);
            self.keep_marks(old, cover);
        }
        changed
    }

    /// Files that a walk found newly written. They are to be looked at when they have settled: whoever wrote them may
    /// not have finished, and then a change told now would be told again.
    pub fn take_late(&mut self) -> BTreeSet<PathBuf> {
        std::mem::take(&mut self.late)
    }

    /// Reads the content of a few files, so that a later save of the same bytes is known to be none. Gives
    /// the bytes that it read, or `None` when there is nothing left to read.
    pub fn read_some(&mut self) -> Option<u64> {
        let path = self.unread.pop_first()?;
        let Some(folder) = self.folders.get_mut(&path) else { return Some(0) };
        let mut bytes = 0;
        for (name, mark) in folder.files.iter_mut().filter(|(_, mark)| !mark.is_hashed()) {
            *mark = mark.hashed_unchanged(&path.join(name));
            bytes += if mark.is_hashed() { mark.len() } else { 0 };
        }
        Some(bytes)
    }

    /// Gives folders that were taken out and are known again what was known of their files, and lets go of the others.
    fn keep_marks(&mut self, old: impl IntoIterator<Item = (PathBuf, Folder)>, cover: &mut Cover) {
        for (path, folder) in old {
            match self.folders.get_mut(&path) {
                Some(new) => new.files.iter_mut().for_each(|(name, mark)| {
                    *mark = folder.files.get(name).copied().unwrap_or(*mark);
                }),
                None => cover.release(&path, Use::Tree),
            }
        }
    }

    /// Remembers a file; whether it is another than before.
    fn store(&mut self, folder: &Path, name: &OsStr, mark: Mark) -> bool {
        let Some(folder) = self.folders.get_mut(folder) else { return false };
        match folder.files.get_mut(name) {
            Some(before) => {
                let differs = mark.differs(before);
                *before = mark;
                differs
            }
            None => {
                if self.files < FILES_MAX {
                    self.files += 1;
                    folder.files.insert(name.to_owned(), mark);
                }
                true
            }
        }
    }

    /// Forgets a file; its end is a change.
    fn lose(&mut self, parent: &Path, name: &OsStr, order: u64, out: &mut Vec<Changed>) {
        let Some(folder) = self.folders.get_mut(parent) else { return };
        if folder.files.remove(name).is_none() {
            return;
        }
        self.files -= 1;
        let path = parent.join(name);
        let mut ids = folder.wanting(&self.filters, &path);
        ids.extend(self.links.ids(&path));
        self.lost_link(&path);
        if !ids.is_empty() {
            out.push(Changed { order, path, ids });
        }
    }

    /// Forgets a folder and all below it; with `order`, the end of their files is a change.
    fn drop_below(
        &mut self,
        top: &Path,
        order: Option<u64>,
        cover: &mut Cover,
        out: &mut Vec<Changed>,
    ) {
        for (path, folder) in self.take_below(top) {
            cover.release(&path, Use::Tree);
            let Some(order) = order else { continue };
            for name in folder.files.keys() {
                let path = path.join(name);
                let ids = folder.wanting(&self.filters, &path);
                if !ids.is_empty() {
                    out.push(Changed { order, path, ids });
                }
            }
        }
    }

    fn take_below(&mut self, top: &Path) -> Vec<(PathBuf, Folder)> {
        let below = self.folders.range(top.to_owned()..).map(|(path, _)| path);
        let paths: Vec<PathBuf> = below.take_while(|path| path.starts_with(top)).cloned().collect();
        let taken = paths.into_iter().filter_map(|path| {
            let folder = self.take_out(&path)?;
            Some((path, folder))
        });
        taken.collect()
    }

    fn take_out(&mut self, path: &Path) -> Option<Folder> {
        let folder = self.folders.remove(path)?;
        folder.files.keys().for_each(|name| self.links.forget(&path.join(name)));
        self.files -= folder.files.len();
        if let (Some(parent), Some(name)) = (path.parent(), path.file_name())
            && let Some(parent) = self.folders.get_mut(parent)
        {
            parent.inner.remove(name);
        }
        Some(folder)
    }
}

/// What an entry that counts as a file is remembered by.
fn mark(entry: Entry) -> Mark {
    match entry {
        Entry::File(mark) | Entry::Link { mark, .. } => mark,
        Entry::Missing | Entry::Folder | Entry::Special => Mark::UNSEEN,
    }
}
