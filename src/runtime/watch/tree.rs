use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::clock::FileTime;
use super::cover::{Cover, Use};
use super::entry::Entry;
use super::filter::Filter;
use super::folder::Folder;
use super::inbox::Touch;
use super::listing::Listing;
use super::mark::Mark;
use super::rules::{RULE_FILES, Rules};

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
    files: usize,
}

/// A folder to look into, for these filters.
struct Visit {
    path: PathBuf,
    ids: BTreeSet<Id>,
    above: Arc<Rules>,
}

impl Tree {
    /// Takes a filter in; [`Tree::walk`] then looks for its files.
    pub fn add(&mut self, id: Id, filter: Filter) {
        self.filters.insert(id, filter);
    }

    /// Forgets a filter and what only it wanted.
    pub fn remove(&mut self, id: Id, cover: &mut Cover) {
        self.filters.remove(&id);
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

    /// The folders at which filters begin and which are not there.
    pub fn absent(&self) -> BTreeSet<PathBuf> {
        let starts = self.filters.values().flat_map(Filter::starts);
        starts.filter(|start| !self.folders.contains_key(start)).collect()
    }

    /// Looks into the folders at which these filters begin.
    pub fn walk(
        &mut self,
        ids: &BTreeSet<Id>,
        unknown: Unknown,
        cover: &mut Cover,
    ) -> Vec<Changed> {
        let mut starts: BTreeMap<PathBuf, BTreeSet<Id>> = BTreeMap::new();
        for (id, filter) in self.filters.iter().filter(|(id, _)| ids.contains(id)) {
            for start in filter.starts() {
                starts.entry(start).or_default().insert(*id);
            }
        }
        let mut changed = Vec::new();
        for (path, ids) in starts {
            let missing = |folder: &Folder| !ids.is_subset(&folder.ids);
            if self.folders.get(&path).is_none_or(missing) && Entry::at(&path) == Entry::Folder {
                let above = Rules::above(&path);
                self.visit(vec![Visit { path, ids, above }], unknown, false, cover, &mut changed);
            }
        }
        changed
    }

    /// Compares what one event was about.
    pub fn look(&mut self, path: &Path, touch: Touch, cover: &mut Cover, out: &mut Vec<Changed>) {
        let entry = Entry::at(path);
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
            Entry::File(mark) => {
                let ids = folder.wanting(&self.filters, path);
                let mark = mark.hashed(path);
                if !ids.is_empty() && self.store(parent, name, mark) {
                    out.push(Changed { order: touch.order, path: path.to_owned(), ids });
                }
            }
            Entry::Missing | Entry::Special => self.lose(parent, name, touch.order, out),
        }
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
            for (path, folder) in old {
                match self.folders.get_mut(&path) {
                    // Those that were known keep what was known of them.
                    Some(new) => new.files.iter_mut().for_each(|(name, mark)| {
                        *mark = folder.files.get(name).copied().unwrap_or(*mark);
                    }),
                    None => cover.release(&path, Use::Tree),
                }
            }
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

    /// Looks level by level, so that the folders of a level are watched by one call and before they are listed.
    fn visit(
        &mut self,
        mut level: Vec<Visit>,
        unknown: Unknown,
        deep: bool,
        cover: &mut Cover,
        out: &mut Vec<Changed>,
    ) {
        while !level.is_empty() {
            for visit in &level {
                let above = &visit.above;
                let folder = self.folders.entry(visit.path.clone());
                let folder = folder.or_insert_with(|| Folder::new(above.clone()));
                folder.ids.extend(&visit.ids);
            }
            cover.watch(level.iter().map(|visit| visit.path.clone()), Use::Tree);
            let mut next = Vec::new();
            for visit in level {
                self.list(&visit, unknown, deep, cover, &mut next, out);
            }
            level = next;
        }
    }

    fn list(
        &mut self,
        visit: &Visit,
        unknown: Unknown,
        deep: bool,
        cover: &mut Cover,
        next: &mut Vec<Visit>,
        out: &mut Vec<Changed>,
    ) {
        let order = match unknown {
            Unknown::Old(_) => 0,
            Unknown::New(order) => order,
        };
        let Some(listing) = Listing::of(&visit.path) else { return };
        let Some(folder) = self.folders.get_mut(&visit.path) else { return };
        let rule_files = listing.files.iter().map(OsString::as_os_str);
        let rule_files = rule_files.filter(|name| RULE_FILES.iter().any(|rules| name == rules));
        folder.rules = folder.above.within(&visit.path, rule_files);
        self.compare_files(visit, &listing, unknown, order, out);
        let Some(folder) = self.folders.get_mut(&visit.path) else { return };
        let there: BTreeSet<&OsString> = listing.folders.iter().collect();
        let gone: Vec<OsString> =
            folder.inner.iter().filter(|name| !there.contains(name)).cloned().collect();
        for name in listing.folders {
            let path = visit.path.join(&name);
            let Some(folder) = self.folders.get(&visit.path) else { return };
            let ids = folder.entering(&self.filters, &visit.ids, &path);
            let known = self.folders.get(&path);
            let unseen = known.is_none_or(|known| deep || !ids.is_subset(&known.ids));
            if !ids.is_empty() && unseen {
                let above = folder.inner_rules(&path);
                next.push(Visit { path, ids, above });
                let Some(folder) = self.folders.get_mut(&visit.path) else { return };
                folder.inner.insert(name);
            }
        }
        for name in gone {
            self.drop_below(&visit.path.join(name), Some(order), cover, out);
        }
    }

    fn compare_files(
        &mut self,
        visit: &Visit,
        listing: &Listing,
        unknown: Unknown,
        order: u64,
        out: &mut Vec<Changed>,
    ) {
        let mut seen = BTreeSet::new();
        for name in &listing.files {
            let path = visit.path.join(name);
            let Some(folder) = self.folders.get(&visit.path) else { return };
            let ids = folder.wanting(&self.filters, &path);
            if ids.is_empty() {
                continue;
            }
            let Entry::File(mark) = Entry::at(&path) else { continue };
            seen.insert(name.clone());
            let differs = match (folder.files.get(name), unknown) {
                (Some(before), _) if mark.same_stat(before) => continue,
                (Some(_), Unknown::Old(_)) => continue,
                (Some(_), Unknown::New(_)) => self.store(&visit.path, name, mark.hashed(&path)),
                (None, Unknown::Old(since)) if mark.modified() >= since => {
                    self.store(&visit.path, name, Mark::UNSEEN);
                    self.late.insert(path);
                    continue;
                }
                (None, Unknown::Old(_)) => {
                    self.store(&visit.path, name, mark);
                    self.unread.insert(visit.path.clone());
                    continue;
                }
                (None, Unknown::New(_)) => self.store(&visit.path, name, mark.hashed(&path)),
            };
            if differs {
                out.push(Changed { order, path, ids });
            }
        }
        let Some(folder) = self.folders.get(&visit.path) else { return };
        let gone = folder.files.keys().filter(|name| !seen.contains(*name));
        for name in gone.cloned().collect::<Vec<_>>() {
            self.lose(&visit.path, &name, order, out);
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
        let ids = folder.wanting(&self.filters, &path);
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
        self.files -= folder.files.len();
        if let (Some(parent), Some(name)) = (path.parent(), path.file_name())
            && let Some(parent) = self.folders.get_mut(parent)
        {
            parent.inner.remove(name);
        }
        Some(folder)
    }
}
