use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::PathBuf;

use super::super::listing::Listing;
use super::super::rules::{RULE_FILES, Rules};
use super::{Changed, Cover, Entry, Filter, Folder, Id, Mark, Tree, Unknown, Use, Visit, mark};

impl Tree {
    /// Walks the directories where these filters start.
    pub fn walk(
        &mut self,
        ids: &BTreeSet<Id>,
        unknown: Unknown,
        cover: &mut Cover,
    ) -> Vec<Changed> {
        let mut starts: BTreeMap<PathBuf, BTreeSet<Id>> = BTreeMap::new();
        for id in ids {
            let names = self.filters.get(id).map(Filter::starts).unwrap_or_default();
            for name in names {
                starts.entry(self.found_start(&name, *id, unknown)).or_default().insert(*id);
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
        self.enter_links(unknown, cover);
        changed
    }

    /// The resolved directories where filters start, with those filters.
    fn begins(&self) -> BTreeMap<PathBuf, BTreeSet<Id>> {
        let mut begins: BTreeMap<PathBuf, BTreeSet<Id>> = BTreeMap::new();
        for (id, filter) in &self.filters {
            for start in filter.starts() {
                let end = self.links.end(&start).unwrap_or(start);
                begins.entry(end).or_default().insert(*id);
            }
        }
        begins
    }

    /// Walks level by level, so that the directories of a level are watched with one call and
    /// before they are listed.
    pub(super) fn visit(
        &mut self,
        mut level: Vec<Visit>,
        unknown: Unknown,
        deep: bool,
        cover: &mut Cover,
        out: &mut Vec<Changed>,
    ) {
        let begins = self.begins();
        while !level.is_empty() {
            for visit in &mut level {
                // Filters that start here may not cover the directory above.
                if let Some(ids) = begins.get(&visit.path)
                    && !self.folders.contains_key(&visit.path)
                {
                    visit.ids.extend(ids);
                }
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
            let link = listing.links.contains(name);
            let mut ids = folder.wanting(&self.filters, &path);
            if ids.is_empty() && !link {
                continue;
            }
            let entry @ (Entry::File(_) | Entry::Link { .. }) = self.entry(&path) else { continue };
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
            let Some(folder) = self.folders.get(&visit.path) else { return };
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
}
