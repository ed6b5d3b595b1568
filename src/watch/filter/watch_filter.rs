use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use globset::{GlobSet, GlobSetBuilder};

use super::ignore_rules::{IgnoreVerdict, is_never};
use super::watch_pattern::{PatternKind, WatchPattern};
use crate::model::WatchConfig;

/// Maximum number of directories with other names through symlinks: a tree of symlinks may be
/// endless.
const ALIASES_MAX: usize = 256;

/// The compiled globs of a service. All paths passed to it are resolved.
#[derive(Debug)]
pub(crate) struct WatchFilter {
    reach: Vec<GlobScope>,
    include: GlobTable,
    /// Include globs that ask for hidden files.
    hidden: GlobTable,
    exclude: GlobTable,
    /// Matches directories with everything in them excluded.
    excluded_dirs: GlobTable,
    /// Directories that symlinks lead to, each with the path by which the globs know it.
    aliases: BTreeSet<(PathBuf, PathBuf)>,
}

/// A directory below which files can match.
#[derive(Debug)]
struct GlobScope {
    top: PathBuf,
    /// `top` itself can be the file.
    literal: bool,
    /// Levels below `top`; `None`: any.
    depth: Option<usize>,
    /// The pattern leads into a directory that is never watched. The name of the service's own
    /// directory does not matter.
    never: bool,
}

/// Glob sets by the directory they are relative to.
#[derive(Debug, Default)]
struct GlobTable(Vec<(PathBuf, GlobSet)>);

impl WatchFilter {
    /// Compiles the globs. The configuration has checked them; an invalid one is skipped.
    pub fn new(watch: &WatchConfig, root: &Path) -> WatchFilter {
        let read = |list: &[String], sense| -> Vec<WatchPattern> {
            let read = |text: &String| match WatchPattern::new(root, text, sense) {
                Ok(pattern) => Some(pattern),
                Err(error) => {
                    tracing::warn!(%error, "ignoring an invalid `watch` glob");
                    None
                }
            };
            list.iter().filter_map(read).collect()
        };
        let mut include = read(&watch.include, PatternKind::Include);
        if watch.include.is_empty() {
            include.extend(WatchPattern::new(root, "**", PatternKind::Include));
        }
        let exclude = read(&watch.exclude, PatternKind::Exclude);
        WatchFilter {
            reach: include.iter().map(GlobScope::of).collect(),
            include: GlobTable::of(include.iter(), |pattern| &pattern.globs),
            hidden: GlobTable::of(include.iter().filter(|p| p.hidden), |pattern| &pattern.globs),
            exclude: GlobTable::of(exclude.iter(), |pattern| &pattern.globs),
            excluded_dirs: GlobTable::of(exclude.iter(), |pattern| &pattern.dirs),
            aliases: BTreeSet::new(),
        }
    }

    /// Gives a directory another `name`, that of a symlink to it.
    pub fn alias(&mut self, dir: &Path, name: &Path) {
        if self.aliases.len() < ALIASES_MAX {
            self.aliases.insert((dir.to_owned(), name.to_owned()));
        }
    }

    pub fn clear_aliases(&mut self) {
        self.aliases.clear();
    }

    /// All names of a path: its own, and those through symlinks.
    pub fn names<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = Cow<'a, Path>> {
        let linked = self.aliases.iter().filter_map(move |(dir, name)| {
            let rest = path.strip_prefix(dir).ok()?;
            // `join` with an empty path would append a slash.
            Some(if rest.as_os_str().is_empty() { Cow::from(name) } else { name.join(rest).into() })
        });
        std::iter::once(Cow::from(path)).chain(linked)
    }

    /// The directories where walking begins, by the names the globs know. They need not exist.
    pub fn roots(&self) -> BTreeSet<PathBuf> {
        let tops = self.reach.iter().filter(|reach| !reach.never);
        tops.map(|reach| match reach.top.parent() {
            Some(dir) if reach.literal => dir.to_owned(),
            Some(_) | None => reach.top.clone(),
        })
        .collect()
    }

    /// Returns whether anything in this directory may count.
    pub fn accepts_dir(&self, dir: &Path, verdict: IgnoreVerdict) -> bool {
        self.names(dir).any(|name| self.enters_name(&name, verdict))
    }

    /// [`Self::accepts_dir`] for a single name of a directory.
    pub fn enters_name(&self, dir: &Path, verdict: IgnoreVerdict) -> bool {
        let named = || self.reach.iter().any(|reach| reach.top.starts_with(dir) && !reach.never);
        match verdict {
            IgnoreVerdict::Never => false,
            IgnoreVerdict::Ignored => named(),
            IgnoreVerdict::Plain => {
                let may = self.reach.iter().any(|reach| reach.holds(dir));
                named() || (may && !self.excluded_dirs.matches(dir))
            }
        }
    }

    pub fn accepts_file(&self, file: &Path, verdict: IgnoreVerdict) -> bool {
        self.names(file).any(|name| self.wants_name(&name, verdict))
    }

    fn wants_name(&self, file: &Path, verdict: IgnoreVerdict) -> bool {
        let included = match verdict {
            IgnoreVerdict::Never => false,
            IgnoreVerdict::Plain => self.include.matches(file),
            IgnoreVerdict::Ignored => {
                let named = self.reach.iter().any(|reach| reach.literal && reach.top == file);
                named || self.hidden.matches(file)
            }
        };
        included && !self.exclude.matches(file)
    }
}

impl GlobScope {
    fn of(pattern: &WatchPattern) -> GlobScope {
        let named = pattern.literal_prefix.strip_prefix(&pattern.base);
        GlobScope {
            top: pattern.literal_prefix.clone(),
            literal: pattern.literal,
            depth: pattern.depth,
            never: named.is_ok_and(|named| named.iter().any(is_never)),
        }
    }

    /// Returns whether files in this directory can match.
    fn holds(&self, dir: &Path) -> bool {
        let Ok(below) = dir.strip_prefix(&self.top) else { return false };
        self.depth.is_none_or(|depth| below.components().count() < depth)
    }
}

impl GlobTable {
    fn of<'a>(
        patterns: impl Iterator<Item = &'a WatchPattern>,
        globs: impl Fn(&WatchPattern) -> &Vec<globset::Glob>,
    ) -> GlobTable {
        let mut sets: BTreeMap<&Path, GlobSetBuilder> = BTreeMap::new();
        for pattern in patterns {
            let set = sets.entry(&pattern.base).or_insert_with(GlobSetBuilder::new);
            for glob in globs(pattern) {
                set.add(glob.clone());
            }
        }
        let built = |(base, set): (&Path, GlobSetBuilder)| {
            // Each glob compiled before; together they only fail if there are too many.
            let set = set.build().inspect_err(|error| tracing::warn!(%error, "globs of `watch`"));
            Some((base.to_owned(), set.ok()?))
        };
        GlobTable(sets.into_iter().filter_map(built).collect())
    }

    fn matches(&self, path: &Path) -> bool {
        let below = |base| path.strip_prefix(base).ok();
        self.0.iter().any(|(base, set)| below(base).is_some_and(|below| set.is_match(below)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn filter(include: &[&str], exclude: &[&str]) -> WatchFilter {
        let list = |globs: &[&str]| globs.iter().map(|&glob| glob.to_owned()).collect();
        let root = PathBuf::from("/p/api");
        let watch = WatchConfig {
            root: root.clone(),
            optional: false,
            include: list(include),
            exclude: list(exclude),
            reloaded: Vec::new(),
            debounce: Duration::ZERO,
            poll: None,
            action: crate::model::WatchAction::Restart { build: None },
        };
        WatchFilter::new(&watch, &root)
    }

    #[test]
    fn excludes_win_and_close_directories() {
        let filter = filter(&["**/*.py"], &["tests/**", "*_pb2.py"]);
        assert!(filter.accepts_file(Path::new("/p/api/a/b.py"), IgnoreVerdict::Plain));
        assert!(!filter.accepts_file(Path::new("/p/api/a/b_pb2.py"), IgnoreVerdict::Plain));
        assert!(!filter.accepts_file(Path::new("/p/api/tests/b.py"), IgnoreVerdict::Plain));
        assert!(!filter.accepts_dir(Path::new("/p/api/tests"), IgnoreVerdict::Plain));
        assert!(filter.accepts_dir(Path::new("/p/api/a"), IgnoreVerdict::Plain));
    }

    #[test]
    fn ignored_directory_counts_when_named() {
        let all = filter(&[], &[]);
        assert!(!all.accepts_dir(Path::new("/p/api/dist"), IgnoreVerdict::Ignored));
        let named = filter(&["dist/**", "*.py", ".env", ".git/HEAD"], &[]);
        assert!(named.accepts_dir(Path::new("/p/api/dist"), IgnoreVerdict::Ignored));
        assert!(named.accepts_file(Path::new("/p/api/dist/x.js"), IgnoreVerdict::Plain));
        assert!(!named.accepts_dir(Path::new("/p/api/dist/node_modules"), IgnoreVerdict::Ignored));
        assert!(named.accepts_file(Path::new("/p/api/.env"), IgnoreVerdict::Ignored));
        assert!(!named.accepts_file(Path::new("/p/api/x.py"), IgnoreVerdict::Ignored));
        assert!(!named.accepts_dir(Path::new("/p/api/.git"), IgnoreVerdict::Never));
    }

    #[test]
    fn directories_that_cannot_hold_a_match_are_not_entered() {
        let filter = filter(&["src/*.py", "conf.toml", "../shared/**"], &[]);
        assert!(filter.accepts_dir(Path::new("/p/api/src"), IgnoreVerdict::Plain));
        assert!(!filter.accepts_dir(Path::new("/p/api/src/deep"), IgnoreVerdict::Plain));
        assert!(!filter.accepts_dir(Path::new("/p/api/other"), IgnoreVerdict::Plain));
        let starts = ["/p/api", "/p/api/src", "/p/shared"].map(PathBuf::from);
        assert_eq!(filter.roots(), BTreeSet::from(starts));
    }
}
