use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::super::files::is_top;
use super::super::git;
use super::super::route::Route;
use super::super::rules::Verdict;
use super::{Changed, Cover, Entry, Filter, Id, Mark, Rules, Tree, Unknown, Use, Visit};

/// Links that are followed at most.
const LINKS_MAX: usize = 10_000;

/// Names that lead elsewhere by links: folders at which filters begin, and links in folders.
#[derive(Debug, Default)]
pub(super) struct Links {
    names: BTreeMap<PathBuf, Link>,
    /// The places at which something may happen to them, each with those names.
    places: BTreeMap<PathBuf, BTreeSet<PathBuf>>,
    /// The folders that are watched for them.
    folders: BTreeSet<PathBuf>,
    /// Whether `folders` is still right.
    armed: bool,
}

/// Where a name leads, and for whom.
#[derive(Debug)]
pub(super) struct Link {
    pub ids: BTreeSet<Id>,
    route: Route,
    /// A folder at which filters begin; otherwise a link in a folder that is known.
    start: bool,
    /// What it leads to is looked into.
    entered: bool,
    /// It was found to be newly made or turned, and that has not been told.
    fresh: bool,
}

impl Link {
    fn places(&self) -> impl Iterator<Item = &PathBuf> {
        let links = self.route.links.iter().filter(|link| !is_top(link));
        // What happens in a folder is seen there.
        links.chain((!self.entered).then_some(&self.route.end))
    }
}

impl Links {
    /// The names that something at `path` is about.
    pub fn at(&self, path: &Path) -> impl Iterator<Item = (&Path, &Link)> {
        let names = self.places.get(path).into_iter().flatten();
        names.filter_map(|name| Some((name.as_path(), self.names.get(name)?)))
    }

    /// Whom a name concerns.
    pub fn ids(&self, name: &Path) -> BTreeSet<Id> {
        self.names.get(name).map(|link| link.ids.clone()).unwrap_or_default()
    }

    /// Where a name leads.
    pub fn end(&self, name: &Path) -> Option<PathBuf> {
        self.names.get(name).map(|link| link.route.end.clone())
    }

    /// Whether a name was found to be new, or to lead elsewhere, and that has not been told.
    pub fn is_fresh(&self, name: &Path) -> bool {
        self.names.get(name).is_some_and(|link| link.fresh)
    }

    /// The folders that links in folders lead to and that are looked into, there or not.
    pub fn dangling(&self) -> impl Iterator<Item = PathBuf> {
        let links = self.names.values().filter(|link| link.entered && !link.start);
        links.map(|link| link.route.end.clone())
    }

    /// Forgets a name.
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

    /// Forgets a filter.
    pub fn forget_id(&mut self, id: Id) {
        let mut unused = Vec::new();
        for (name, link) in &mut self.names {
            if link.ids.remove(&id) && link.ids.is_empty() {
                unused.push(name.clone());
            }
        }
        unused.iter().for_each(|name| self.forget(name));
    }

    fn add(&mut self, name: &Path, mut link: Link) {
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

impl Tree {
    /// A filter begins at `name`; gives that folder without links.
    pub(super) fn found_start(&mut self, name: &Path, id: Id, unknown: Unknown) -> PathBuf {
        let route = Route::of(name);
        let end = route.end.clone();
        if end != name {
            let fresh = Tree::newest(&route, unknown);
            self.late.extend(fresh.clone());
            let fresh = fresh.is_some();
            if let Some(filter) = self.filters.get_mut(&id) {
                filter.alias(&end, name);
            }
            let link = Link { ids: [id].into(), route, start: true, entered: true, fresh };
            self.links.add(name, link);
        }
        end
    }

    /// One of the links on a way that was made after what is old, if there is any.
    fn newest(route: &Route, unknown: Unknown) -> Option<PathBuf> {
        let Unknown::Old(since) = unknown else { return None };
        let is_new = |link: &&PathBuf| {
            let meta = std::fs::symlink_metadata(link);
            !is_top(link) && meta.is_ok_and(|meta| Mark::of(&meta).modified() >= since)
        };
        route.links.iter().find(is_new).cloned()
    }

    /// `path` is a link in a known folder, of which these filters want something.
    pub(super) fn found_link(&mut self, path: &Path, ids: &BTreeSet<Id>, to_folder: bool) {
        let route = Route::of(path);
        let entered = to_folder && is_followed(path, &route.end);
        let known = self.links.names.get(path);
        // Filters may begin at this link that have no part in the folder it is in: [`Tree::follow`] tells them.
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
        self.links.add(path, Link { ids: ids.clone(), route, start: false, entered, fresh });
    }

    /// At `path` there is no link, or none any more.
    pub(super) fn lost_link(&mut self, path: &Path) {
        let Some(link) = self.links.names.get(path).filter(|link| !link.start) else { return };
        if link.entered {
            self.relinked.extend(&link.ids);
        }
        self.links.forget(path);
    }

    /// Looks where a name leads now. For a folder at which filters begin, leading elsewhere is a change.
    pub(super) fn follow(&mut self, name: &Path, order: u64, out: &mut Vec<Changed>) {
        let Some(link) = self.links.names.get(name) else { return };
        let (ids, start, route) = (link.ids.clone(), link.start, Route::of(name));
        let fresh = link.fresh;
        if (route == link.route && !fresh) || !start {
            return;
        }
        if route.end != link.route.end || fresh {
            out.push(Changed { order, path: name.to_owned(), ids: ids.clone() });
        }
        self.relinked.extend(&ids);
        self.links.forget(name);
    }

    /// Looks anew with the filters for which a link leads elsewhere. What is found by that did not change; that
    /// the link did, was told.
    pub fn relink(&mut self, cover: &mut Cover) {
        let none = Unknown::Old((i64::MAX, 0));
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
        let touched = self.folders_of(&ids);
        let mut old = BTreeMap::new();
        for path in touched {
            let Some(folder) = self.folders.get_mut(&path) else { continue };
            folder.ids.retain(|id| !ids.contains(id));
            let unused = folder.ids.is_empty();
            let before = if unused { self.take_out(&path) } else { None };
            old.extend(before.map(|folder| (path, folder)));
        }
        self.walk(&ids, none, cover);
        self.keep_marks(old, cover);
        // The walk has found the links of these filters, which is nothing new now.
        self.relinked.clear();
    }

    /// Looks into the folders that new links lead to.
    pub(super) fn enter_links(&mut self, unknown: Unknown, cover: &mut Cover) {
        while let Some((path, ids)) = self.linked.pop_first() {
            if Entry::at(&path) == Entry::Folder {
                let visit = Visit { above: Rules::above(&path), path, ids };
                // Each of its files is as old as its link is for us.
                self.visit(vec![visit], unknown, false, cover, &mut Vec::new());
            }
        }
    }

    /// Watches the folders in which something may happen to links.
    pub fn arm_links(&mut self, cover: &mut Cover) {
        if std::mem::replace(&mut self.links.armed, true) {
            return;
        }
        let places = self.links.places.keys().filter_map(|place| place.parent());
        let need: BTreeSet<PathBuf> =
            places.filter(|folder| folder.is_dir()).map(Path::to_owned).collect();
        for folder in self.links.folders.difference(&need) {
            cover.release(folder, Use::Link);
        }
        cover.watch(need.iter().cloned(), Use::Link);
        self.links.folders = need;
    }
}

/// A folder that a link leads to belongs to the same project, or nobody meant it: a link to the store of a package
/// manager or to a build's output elsewhere would be millions of files. And never the way back.
fn is_followed(link: &Path, end: &Path) -> bool {
    !link.starts_with(end) && git::project(link).is_some_and(|top| end.starts_with(top))
}

fn alias(filter: &mut Filter, path: &Path, end: &Path) {
    let enters = |name: &Path| filter.enters_name(name, Verdict::Plain);
    let names: Vec<PathBuf> =
        filter.names(path).filter(|name| enters(name)).map(|name| name.into_owned()).collect();
    names.iter().for_each(|name| filter.alias(end, name));
}
