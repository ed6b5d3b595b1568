use std::collections::{BTreeSet, VecDeque};
use std::ffi::OsString;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Maximum number of symlinks on the way of a path, as in the kernel.
const MAX_LINKS: usize = 40;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ResolvedPath {
    /// The symlinks on the way, with resolved parents. When one changes, the path leads elsewhere.
    pub links: BTreeSet<PathBuf>,
    /// The resolved path, as far as it exists, and without `..`.
    pub end: PathBuf,
}

impl ResolvedPath {
    /// Resolves an absolute path. Stops at a cycle of symlinks.
    pub fn of(path: &Path) -> ResolvedPath {
        let mut route = ResolvedPath::default();
        let mut way: VecDeque<PathPart> = parts(path).collect();
        let mut left = MAX_LINKS;
        while let Some(part) = way.pop_front() {
            match part {
                PathPart::Root => route.end = PathBuf::from("/"),
                PathPart::Up => drop(route.end.pop()),
                PathPart::Down(name) => {
                    route.end.push(name);
                    if let Ok(target) = fs::read_link(&route.end)
                        && left > 0
                    {
                        left -= 1;
                        route.links.insert(route.end.clone());
                        route.end.pop();
                        let rest = std::mem::take(&mut way);
                        way = parts(&target).chain(rest).collect();
                    }
                }
            }
        }
        route
    }
}

enum PathPart {
    Root,
    Up,
    Down(OsString),
}

fn parts(path: &Path) -> impl Iterator<Item = PathPart> {
    path.components().filter_map(|component| match component {
        Component::Prefix(_) | Component::CurDir => None,
        Component::RootDir => Some(PathPart::Root),
        Component::ParentDir => Some(PathPart::Up),
        Component::Normal(name) => Some(PathPart::Down(name.to_owned())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn every_link_on_the_way_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let top = fs::canonicalize(dir.path()).unwrap();
        fs::create_dir_all(top.join("releases/2/src")).unwrap();
        symlink("latest", top.join("current")).unwrap();
        symlink("releases/2", top.join("latest")).unwrap();
        symlink("../../../current", top.join("releases/2/src/round")).unwrap();
        let route = ResolvedPath::of(&top.join("current/src"));
        assert_eq!(route.end, top.join("releases/2/src"));
        assert_eq!(route.links, ["current", "latest"].map(|name| top.join(name)).into());
        let round = ResolvedPath::of(&top.join("current/src/round/not/there"));
        assert_eq!(round.end, top.join("releases/2/not/there"));
        assert_eq!(round.links.len(), 3);
    }

    #[test]
    fn a_circle_ends() {
        let dir = tempfile::tempdir().unwrap();
        let top = fs::canonicalize(dir.path()).unwrap();
        symlink("b", top.join("a")).unwrap();
        symlink("a", top.join("b")).unwrap();
        let route = ResolvedPath::of(&top.join("a/c"));
        assert_eq!(route.links, ["a", "b"].map(|name| top.join(name)).into());
        assert!(route.end.starts_with(&top));
    }
}
