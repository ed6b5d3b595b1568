//! Walks directories to learn what is in them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::PathBuf;

use super::dir_listing::DirListing;
use super::file_tree::{
    ChangedFile, DirVisit, FileTree, FilterId, Fingerprint, PathKind, UnknownFile, WatchFilter,
    WatchReason, WatchSet, WatchedDir, mark,
};
use crate::watch::filter::{IgnoreRules, RULE_FILES};

impl FileTree {
    /// Walks the directories where these filters start.
    pub fn walk(&mut self, ids: &BTreeSet<FilterId>, unknown: UnknownFile, cover: &mut WatchSet) {
        let mut starts: BTreeMap<PathBuf, BTreeSet<FilterId>> = BTreeMap::new();
        for id in ids {
            let names = self.filters.get(id).map(WatchFilter::roots).unwrap_or_default();
            for name in names {
                starts.entry(self.found_start(&name, *id, unknown)).or_default().insert(*id);
            }
        }
        for (path, ids) in starts {
            let missing = |dir: &WatchedDir| !ids.is_subset(&dir.ids);
            if self.dirs.get(&path).is_none_or(missing) && PathKind::at(&path) == PathKind::Dir {
                let above = IgnoreRules::above(&path);
                self.walk_levels(vec![DirVisit { path, ids, above }], unknown, false, cover);
            }
        }
        self.enter_links(unknown, cover);
    }

    /// The resolved directories where filters start, with those filters.
    fn filters_by_root(&self) -> BTreeMap<PathBuf, BTreeSet<FilterId>> {
        let mut begins: BTreeMap<PathBuf, BTreeSet<FilterId>> = BTreeMap::new();
        for (id, filter) in &self.filters {
            for start in filter.roots() {
                let end = self.links.end(&start).unwrap_or(start);
                begins.entry(end).or_default().insert(*id);
            }
        }
        begins
    }

    /// Walks level by level, so that the directories of a level are watched with one call and
    /// before they are listed.
    pub(super) fn walk_levels(
        &mut self,
        mut level: Vec<DirVisit>,
        unknown: UnknownFile,
        deep: bool,
        cover: &mut WatchSet,
    ) {
        let begins = self.filters_by_root();
        while !level.is_empty() {
            for visit in &mut level {
                // Filters that start here may not cover the directory above.
                if let Some(ids) = begins.get(&visit.path)
                    && !self.dirs.contains_key(&visit.path)
                {
                    visit.ids.extend(ids);
                }
                let above = &visit.above;
                let dir = self.dirs.entry(visit.path.clone());
                let dir = dir.or_insert_with(|| WatchedDir::new(above.clone()));
                dir.ids.extend(&visit.ids);
            }
            cover.watch(level.iter().map(|visit| visit.path.clone()), WatchReason::Tree);
            let mut next = Vec::new();
            for visit in level {
                self.walk_dir(&visit, unknown, deep, cover, &mut next);
            }
            level = next;
        }
    }

    fn walk_dir(
        &mut self,
        visit: &DirVisit,
        unknown: UnknownFile,
        deep: bool,
        cover: &mut WatchSet,
        next: &mut Vec<DirVisit>,
    ) {
        let order = match unknown {
            UnknownFile::Old(_) => 0,
            UnknownFile::New(order) => order,
        };
        let Some(listing) = DirListing::of(&visit.path) else { return };
        let Some(dir) = self.dirs.get_mut(&visit.path) else { return };
        let rule_files = listing.files.iter().map(OsString::as_os_str);
        let rule_files = rule_files.filter(|name| RULE_FILES.iter().any(|rules| name == rules));
        dir.rules = dir.above.with_files(&visit.path, rule_files);
        self.compare_files(visit, &listing, unknown, order);
        let Some(dir) = self.dirs.get_mut(&visit.path) else { return };
        let there: BTreeSet<&OsString> = listing.dirs.iter().collect();
        let gone: Vec<OsString> =
            dir.inner.iter().filter(|name| !there.contains(name)).cloned().collect();
        for name in listing.dirs {
            let path = visit.path.join(&name);
            let Some(dir) = self.dirs.get(&visit.path) else { return };
            let ids = dir.filters_for_dir(&self.filters, &visit.ids, &path);
            let known = self.dirs.get(&path);
            let unseen = known.is_none_or(|known| deep || !ids.is_subset(&known.ids));
            if !ids.is_empty() && unseen {
                let above = dir.inner_rules(&path);
                next.push(DirVisit { path, ids, above });
                let Some(dir) = self.dirs.get_mut(&visit.path) else { return };
                dir.inner.insert(name);
            }
        }
        for name in gone {
            self.drop_below(&visit.path.join(name), Some(order), cover);
        }
    }

    fn compare_files(
        &mut self,
        visit: &DirVisit,
        listing: &DirListing,
        unknown: UnknownFile,
        order: u64,
    ) {
        let mut seen = BTreeSet::new();
        for name in &listing.files {
            let path = visit.path.join(name);
            let Some(dir) = self.dirs.get(&visit.path) else { return };
            let link = listing.links.contains(name);
            let mut ids = dir.filters_for_file(&self.filters, &path);
            if ids.is_empty() && !link {
                continue;
            }
            let entry = match self.entry(&path) {
                entry @ (PathKind::File(_) | PathKind::Link { .. }) => entry,
                PathKind::Output => {
                    seen.insert(name.clone());
                    continue;
                }
                PathKind::Missing | PathKind::Dir | PathKind::Special => continue,
            };
            if link {
                ids = self.concerned(&visit.path, &path, entry);
                if self.links.is_fresh(&path) {
                    self.late.insert(path.clone());
                }
            }
            if ids.is_empty() {
                continue;
            }
            let mark = mark(entry);
            seen.insert(name.clone());
            let Some(dir) = self.dirs.get(&visit.path) else { return };
            let differs = match (dir.files.get(name), unknown) {
                (Some(before), _) if mark.stat_matches(before) => continue,
                (Some(_), UnknownFile::Old(_)) => continue,
                (Some(_), UnknownFile::New(_)) => {
                    self.store(&visit.path, name, mark.with_hash(&path))
                }
                (None, UnknownFile::Old(since)) if mark.modified() >= since => {
                    self.store(&visit.path, name, Fingerprint::UNSEEN);
                    self.late.insert(path);
                    continue;
                }
                (None, UnknownFile::Old(_)) => {
                    self.store(&visit.path, name, mark);
                    self.unread.insert(visit.path.clone());
                    continue;
                }
                (None, UnknownFile::New(_)) => self.store(&visit.path, name, mark.with_hash(&path)),
            };
            if differs {
                self.changed.push(ChangedFile { order, path, ids });
            }
        }
        let Some(dir) = self.dirs.get(&visit.path) else { return };
        let gone = dir.files.keys().filter(|name| !seen.contains(*name));
        for name in gone.cloned().collect::<Vec<_>>() {
            self.remove_file(&visit.path, &name, order);
        }
    }
}
