use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::git;
use crate::git_repository::GitRepository;

/// Directories of version control and devstack. Never watched, not even when named.
const NEVER_WATCHED: &[&str] = &[".devstack", ".git", ".hg", ".jj", ".svn", "CVS"];

/// Directories that tools fill, in addition to hidden ones. Watched only if an include names them.
const BUILD_DIRS: &[&str] = &[
    "__pycache__",
    "_build",
    "bower_components",
    "build",
    "coverage",
    "dist",
    "elm-stuff",
    "htmlcov",
    "node_modules",
    "target",
    "venv",
    "zig-out",
];

/// What Python and conda environments contain, whatever their names. They are treated as
/// [`BUILD_DIRS`].
const ENVIRONMENT_MARKS: [&str; 2] = ["pyvenv.cfg", "conda-meta"];

/// Temporary files of editors, and files that programs write while they run.
const SCRATCH_SUFFIXES: &[&str] = &[
    "~", ".swp", ".swo", ".swx", "___jb_tmp___", "___jb_old___", ".log", ".pid", ".pyc",
    "-journal", "-shm", "-wal",
];

/// Names of ignore files, strongest first.
pub(crate) const RULE_FILES: [&str; 2] = [".ignore", ".gitignore"];

/// Whether a path counts, before the globs of services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IgnoreVerdict {
    Plain,
    /// Counts only for a service that names it.
    Ignored,
    Never,
}

/// The `.gitignore` and `.ignore` files that apply in a directory: its own and those above.
#[derive(Debug, Default)]
pub(crate) struct IgnoreRules {
    above: Option<Arc<IgnoreRules>>,
    own: Vec<Gitignore>,
}

impl IgnoreRules {
    /// Loads the rules from above a directory, up to the root of its repository, or without one up
    /// to the directory of the stack. Rules further up are unrelated: `*` in a home directory is
    /// not for projects in it.
    pub fn above(dir: &Path) -> Arc<IgnoreRules> {
        let Some(top) = git::project_root(dir) else { return Arc::default() };
        let mut rules = IgnoreRules::of_git(dir);
        let mut way: Vec<&Path> =
            dir.ancestors().skip(1).take_while(|above| above.starts_with(&top)).collect();
        way.reverse();
        for (index, above) in way.iter().enumerate() {
            rules = rules.with_files(above, RULE_FILES.iter().map(OsStr::new));
            let next = way.get(index + 1).copied().unwrap_or(dir);
            if rules.verdict(next, true) != IgnoreVerdict::Plain {
                // An ignored directory that is watched was named, and its content is wanted.
                return Arc::default();
            }
        }
        rules
    }

    /// Git's own rules outside the tree: those of the repository and of the user.
    fn of_git(dir: &Path) -> Arc<IgnoreRules> {
        let Some(repository) = GitRepository::of(dir) else { return Arc::default() };
        let top = &repository.work_tree;
        let mut builder = GitignoreBuilder::new(top);
        // A missing or unreadable file has no rules.
        let _ = builder.add(repository.common_dir().join("info/exclude"));
        let repository = builder.build().unwrap_or_else(|_| Gitignore::empty());
        let (user, _) = GitignoreBuilder::new(top).build_global();
        Arc::new(IgnoreRules { above: None, own: vec![repository, user] })
    }

    /// Adds the given ignore files of a directory.
    pub fn with_files<'a>(
        self: &Arc<IgnoreRules>,
        dir: &Path,
        files: impl Iterator<Item = &'a OsStr>,
    ) -> Arc<IgnoreRules> {
        let read = |file| {
            let (rules, error) = Gitignore::new(dir.join(file));
            if let Some(error) = error {
                tracing::debug!(%error, "ignore rules");
            }
            rules
        };
        let own: Vec<Gitignore> = files.map(read).filter(|rules| !rules.is_empty()).collect();
        if own.is_empty() {
            return self.clone();
        }
        Arc::new(IgnoreRules { above: Some(self.clone()), own })
    }

    /// Judges `path`, which is in the directory of these rules.
    pub fn verdict(&self, path: &Path, is_dir: bool) -> IgnoreVerdict {
        let Some(name) = path.file_name() else { return IgnoreVerdict::Plain };
        if is_never(name) {
            IgnoreVerdict::Never
        } else if self
            .ignores(path, is_dir)
            .unwrap_or_else(|| is_ignored_by_default(path, name, is_dir))
        {
            IgnoreVerdict::Ignored
        } else {
            IgnoreVerdict::Plain
        }
    }

    /// What the ignore files decide, if anything: an exception overrides the names ignored by
    /// default.
    fn ignores(&self, path: &Path, is_dir: bool) -> Option<bool> {
        let mut rules = Some(self);
        while let Some(here) = rules {
            for own in &here.own {
                match own.matched(path, is_dir) {
                    Match::None => {}
                    Match::Ignore(_) => return Some(true),
                    Match::Whitelist(_) => return Some(false),
                }
            }
            rules = here.above.as_deref();
        }
        None
    }
}

/// Returns whether nothing below this name ever counts.
pub(super) fn is_never(name: &OsStr) -> bool {
    NEVER_WATCHED.iter().any(|never| name == *never)
}

/// Hidden, built, installed, or written by an editor during a save.
fn is_ignored_by_default(path: &Path, name: &OsStr, is_dir: bool) -> bool {
    let bytes = name.as_encoded_bytes();
    if bytes.starts_with(b".") {
        return true;
    }
    if is_dir {
        return BUILD_DIRS.iter().any(|built| name == *built)
            || ENVIRONMENT_MARKS.iter().any(|mark| path.join(mark).exists());
    }
    // vim creates a file of this name to see whether it can write.
    name == "4913"
        || SCRATCH_SUFFIXES.iter().any(|end| bytes.ends_with(end.as_bytes()))
        || (bytes.len() > 2 && bytes.starts_with(b"#") && bytes.ends_with(b"#"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn rules_of_deeper_directories_win_and_exceptions_hold() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path();
        fs::create_dir_all(top.join(".git/info")).unwrap();
        fs::create_dir_all(top.join("api/src")).unwrap();
        fs::write(top.join(".git/info/exclude"), "private\n").unwrap();
        fs::write(top.join(".gitignore"), "*.log\n/out\n").unwrap();
        fs::write(top.join("api/.gitignore"), "!keep.log\n").unwrap();
        let api = top.join("api");
        let rules = IgnoreRules::above(&api).with_files(&api, RULE_FILES.iter().map(OsStr::new));
        for (name, verdict) in [
            ("a.log", IgnoreVerdict::Ignored),
            ("keep.log", IgnoreVerdict::Plain),
            ("private", IgnoreVerdict::Ignored),
            ("out", IgnoreVerdict::Plain),
            ("main.py", IgnoreVerdict::Plain),
            ("main.py~", IgnoreVerdict::Ignored),
            (".env", IgnoreVerdict::Ignored),
        ] {
            assert_eq!(rules.verdict(&api.join(name), false), verdict, "{name}");
        }
        assert_eq!(rules.verdict(&api.join("node_modules"), true), IgnoreVerdict::Ignored);
        assert_eq!(rules.verdict(&api.join(".git"), true), IgnoreVerdict::Never);
    }

    #[test]
    fn inside_an_ignored_directory_the_rules_above_do_not_hold() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path();
        fs::create_dir_all(top.join(".git")).unwrap();
        fs::create_dir_all(top.join("dist/js")).unwrap();
        fs::write(top.join(".gitignore"), "dist\n*.js\n").unwrap();
        let inside = top.join("dist/js");
        assert_eq!(
            IgnoreRules::above(&inside).verdict(&inside.join("a.js"), false),
            IgnoreVerdict::Plain
        );
    }
}
