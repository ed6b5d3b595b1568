use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::file_tree::{
    ChangedFile, DirVisit, FileTree, FilterId, Fingerprint, IgnoreRules, PathKind, UnknownFile,
    WatchFilter, WatchReason, WatchSet,
};
use super::resolved_path::ResolvedPath;
use crate::watch::filter::{IgnoreVerdict, git};
use crate::watch::watched_files::is_below_root;

/// Maximum number of followed symlinks.
const LINKS_MAX: usize = 10_000;

/// Paths with symlinks on the way: directories where filters start, and symlinks in directories.
#[derive(Debug, Default)]
pub(super) struct LinkTable {
    names: BTreeMap<PathBuf, TrackedLink>,
    /// The paths with events about them, each with the affected names.
    places: BTreeMap<PathBuf, BTreeSet<PathBuf>>,
    /// Directories watched for their sake.
    dirs: BTreeSet<PathBuf>,
    /// Whether the watched directories are up to date.
    armed: bool,
}

/// Where a name leads, and for which filters.
#[derive(Debug)]
pub(crate) struct TrackedLink {
    pub ids: BTreeSet<FilterId>,
    route: ResolvedPath,
    /// A directory where filters start; otherwise a symlink in a known directory.
    start: bool,
    /// Its target is walked.
    entered: bool,
    /// New or changed, and not reported yet.
    fresh: bool,
}

impl TrackedLink {
    fn places(&self) -> impl Iterator<Item = &PathBuf> {
        let links = self.route.links.iter().filter(|link| !is_below_root(link));
        // Events inside a walked directory are seen anyway.
        links.chain((!self.entered).then_some(&self.route.end))
    }
}

impl LinkTable {
    /// The names that an event on `path` is about.
    pub fn at(&self, path: &Path) -> impl Iterator<Item = (&Path, &TrackedLink)> {
        let names = self.places.get(path).into_iter().flatten();
        names.filter_map(|name| Some((name.as_path(), self.names.get(name)?)))
    }

    pub fn ids(&self, name: &Path) -> BTreeSet<FilterId> {
        self.names.get(name).map(|link| link.ids.clone()).unwrap_or_default()
    }

    pub fn end(&self, name: &Path) -> Option<PathBuf> {
        self.names.get(name).map(|link| link.route.end.clone())
    }

    /// Returns whether a name is new or leads elsewhere, and that is not reported yet.
    pub fn is_fresh(&self, name: &Path) -> bool {
        self.names.get(name).is_some_and(|link| link.fresh)
    }

    /// Walked targets of symlinks in directories, existing or not.
    pub fn dangling(&self) -> impl Iterator<Item = PathBuf> {
        let links = self.names.values().filter(|link| link.entered && !link.start);
        links.map(|link| link.route.end.clone())
    }

    pub fn forget(&mut self, name: &Path) {
        let Some(link) = self.names.remove(name) else { return };
        for place in link.places() {
            if let Some(names) = self.places.get_mut(place) {
                names.remove(name);
                if names.is_empty() {
                    self.places.remove(place);
                }
            }
        }
        self.armed = false;
    }

    pub fn forget_id(&mut self, id: FilterId) {
        let mut unused = Vec::new();
        for (name, link) in &mut self.names {
            if link.ids.remove(&id) && link.ids.is_empty() {
                unused.push(name.clone());
            }
        }
        unused.iter().for_each(|name| self.forget(name));
    }

    fn add(&mut self, name: &Path, mut link: TrackedLink) {
        if let Some(before) = self.names.get(name) {
            link.ids.extend(&before.ids);
            link.start |= before.start;
            link.fresh |= before.fresh;
            link.entered |= before.start && before.entered;
        } else if self.names.len() >= LINKS_MAX {
            return;
        }
        self.forget(name);
        for place in link.places() {
            self.places.entry(place.clone()).or_default().insert(name.to_owned());
        }
        self.names.insert(name.to_owned(), link);
    }
}

impl FileTree {
    /// Notes that a filter starts at `name`; returns the resolved directory.
    pub(super) fn found_start(
        &mut self,
        name: &Path,
        id: FilterId,
        unknown: UnknownFile,
    ) -> PathBuf {
        let route = ResolvedPath::of(name);
        let end = route.end.clone();
        if end != name {
            let fresh = FileTree::newest(&route, unknown);
            self.late.extend(fresh.clone());
            let fresh = fresh.is_some();
            if let Some(filter) = self.filters.get_mut(&id) {
                filter.alias(&end, name);
            }
            let link = TrackedLink { ids: [id].into(), route, start: true, entered: true, fresh };
            self.links.add(name, link);
        }
        end
    }

    /// Returns a symlink on the way that is newer than what counts as old, if there is one.
    fn newest(route: &ResolvedPath, unknown: UnknownFile) -> Option<PathBuf> {
        let UnknownFile::Old(since) = unknown else { return None };
        let is_new = |link: &&PathBuf| {
            let meta = std::fs::symlink_metadata(link);
            !is_below_root(link)
                && meta.is_ok_and(|meta| Fingerprint::of(&meta).modified() >= since)
        };
        route.links.iter().find(is_new).cloned()
    }

    /// Notes that `path` is a symlink in a known directory with something that these filters
    /// accept.
    pub(super) fn found_link(&mut self, path: &Path, ids: &BTreeSet<FilterId>, to_dir: bool) {
        let route = ResolvedPath::of(path);
        let entered = to_dir && should_follow(path, &route.end);
        let known = self.links.names.get(path);
        // Filters may start at this symlink without covering its directory:
        // [`FileTree::recheck_link`] reports to them.
        let fresh = known.is_some_and(|known| known.start && known.route.end != route.end);
        if known.is_some_and(|known| known.entered && known.route.end != route.end) {
            self.relinked.extend(ids);
        } else if entered && known.is_none_or(|known| !known.entered || !ids.is_subset(&known.ids))
        {
            for id in ids {
                if let Some(filter) = self.filters.get_mut(id) {
                    alias(filter, path, &route.end);
                }
            }
            self.linked.entry(route.end.clone()).or_default().extend(ids);
        }
        self.links.add(path, TrackedLink { ids: ids.clone(), route, start: false, entered, fresh });
    }

    /// Notes that `path` is not a symlink, or no longer.
    pub(super) fn lost_link(&mut self, path: &Path) {
        let Some(link) = self.links.names.get(path).filter(|link| !link.start) else { return };
        if link.entered {
            self.relinked.extend(&link.ids);
        }
        self.links.forget(path);
    }

    /// Checks where a name leads now. If filters start there, leading elsewhere is a change.
    pub(super) fn recheck_link(&mut self, name: &Path, order: u64) {
        let Some(link) = self.links.names.get(name) else { return };
        let (ids, start, route) = (link.ids.clone(), link.start, ResolvedPath::of(name));
        let fresh = link.fresh;
        if (route == link.route && !fresh) || !start {
            return;
        }
        if route.end != link.route.end || fresh {
            let path = name.to_owned();
            self.changed.push(ChangedFile { order, path, ids: ids.clone() });
        }
        self.relinked.extend(&ids);
        self.links.forget(name);
    }

    /// Walks again for filters with a symlink that leads elsewhere. The files found are not
    /// changes: the change of the symlink has been reported.
    pub fn relink(&mut self, cover: &mut WatchSet) {
        let none = UnknownFile::Old((i64::MAX, 0));
        self.enter_links(none, cover);
        let ids = std::mem::take(&mut self.relinked);
        if ids.is_empty() {
            return;
        }
        for id in &ids {
            self.links.forget_id(*id);
            if let Some(filter) = self.filters.get_mut(id) {
                filter.clear_aliases();
            }
        }
        let touched = self.dirs_of(&ids);
        let mut old = BTreeMap::new();
        for path in touched {
            let Some(dir) = self.dirs.get_mut(&path) else { continue };
            dir.ids.retain(|id| !ids.contains(id));
            let unused = dir.ids.is_empty();
            let before = if unused { self.remove_dir(&path) } else { None };
            old.extend(before.map(|dir| (path, dir)));
        }
        let before = self.changed.len();
        self.walk(&ids, none, cover);
        self.changed.truncate(before);
        self.restore_fingerprints(old, cover);
        // The walk has found the symlinks of these filters, which is no news now.
        self.relinked.clear();
    }

    /// Walks the targets of new symlinks.
    pub(super) fn enter_links(&mut self, unknown: UnknownFile, cover: &mut WatchSet) {
        let before = self.changed.len();
        while let Some((path, ids)) = self.linked.pop_first() {
            if PathKind::at(&path) == PathKind::Dir {
                let visit = DirVisit { above: IgnoreRules::above(&path), path, ids };
                // Its files count as being as old as the symlink.
                self.walk_levels(vec![visit], unknown, false, cover);
            }
        }
        self.changed.truncate(before);
    }

    /// Watches the directories with events about symlinks.
    pub fn watch_links(&mut self, cover: &mut WatchSet) {
        if std::mem::replace(&mut self.links.armed, true) {
            return;
        }
        let places = self.links.places.keys().filter_map(|place| place.parent());
        let need: BTreeSet<PathBuf> =
            places.filter(|dir| dir.is_dir()).map(Path::to_owned).collect();
        cover.set_watched(&mut self.links.dirs, need, WatchReason::Link);
    }
}

/// Returns whether to walk the target of a symlink: only in the same project, since a package store
/// or build output elsewhere could have millions of files, and never back up.
fn should_follow(link: &Path, end: &Path) -> bool {
    !link.starts_with(end) && git::project_root(link).is_some_and(|top| end.starts_with(top))
}

fn alias(filter: &mut WatchFilter, path: &Path, end: &Path) {
    let enters = |name: &Path| filter.enters_name(name, IgnoreVerdict::Plain);
    let names: Vec<PathBuf> =
        filter.names(path).filter(|name| enters(name)).map(|name| name.into_owned()).collect();
    names.iter().for_each(|name| filter.alias(end, name));
}
