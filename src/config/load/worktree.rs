//! Env files that a linked git worktree does not have because git ignores them: those of the main
//! worktree are used.

use std::path::{Path, PathBuf};

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::git_repository::{GitRepository, below};
use crate::regular_file::read_linked;

/// How much of a file with rules is read, in bytes.
const MAX_RULES: u64 = 1024 * 1024;

/// Returns where the main worktree has a file that is missing in a linked one. `None` if `path` is
/// not in a linked worktree, or git does not ignore it: then it is missing on purpose.
pub(super) fn in_main_worktree(path: &Path) -> Option<PathBuf> {
    let repository = GitRepository::of(path.parent()?)?;
    let main = repository.main_work_tree()?;
    let file = below(path, &repository.work_tree)?;
    is_ignored(&repository, file).then(|| main.join(file))
}

/// Whether git ignores a file, given as a path in the work tree. As in git, a file in an ignored
/// directory is ignored whatever other rules say, and the rules of deeper directories win.
fn is_ignored(repository: &GitRepository, file: &Path) -> bool {
    let top = &repository.work_tree;
    let of_repository = rules_of(top, &repository.common_dir().join("info/exclude"));
    let (of_user, _) = GitignoreBuilder::new(top).build_global();
    // Weakest first.
    let mut rules = vec![of_user, of_repository];
    let mut way: Vec<&Path> = file.ancestors().collect();
    way.reverse();
    // The first is the empty path, the work tree itself.
    for pair in way.windows(2) {
        let (dir, next) = (pair[0], pair[1]);
        let dir = top.join(dir);
        rules.push(rules_of(&dir, &dir.join(".gitignore")));
        let path = top.join(next);
        let decided =
            rules.iter().rev().find_map(|rules| match rules.matched(&path, next != file) {
                Match::None => None,
                Match::Ignore(_) => Some(true),
                Match::Whitelist(_) => Some(false),
            });
        if decided == Some(true) {
            return true;
        }
    }
    false
}

/// Reads the rules of a file for the paths below `dir`. A missing or unreadable file has none.
fn rules_of(dir: &Path, file: &Path) -> Gitignore {
    let mut builder = GitignoreBuilder::new(dir);
    if let Ok(text) = read_linked(file, MAX_RULES) {
        for line in String::from_utf8_lossy(&text).trim_start_matches('\u{feff}').lines() {
            // As in git, a line that is not a pattern is no rule.
            let _ = builder.add_line(None, line);
        }
    }
    builder.build().unwrap_or_else(|_| Gitignore::empty())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn ignored(files: &[(&str, &str)], path: &str) -> bool {
        let top = tempfile::tempdir().unwrap();
        for (name, text) in [(".git/HEAD", "")].iter().chain(files) {
            let file = top.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        is_ignored(&GitRepository::of(top.path()).unwrap(), Path::new(path))
    }

    #[test]
    fn the_rules_are_those_of_git() {
        let top = (".gitignore", ".env\n/only-top.env\nsecrets/\n");
        assert!(ignored(&[top], ".env"));
        assert!(ignored(&[top], "api/.env"));
        assert!(ignored(&[top], "only-top.env"));
        assert!(!ignored(&[top], "api/only-top.env"));
        assert!(!ignored(&[top], "other.env"));
        assert!(ignored(&[(".git/info/exclude", "*.env\n")], "api/x.env"));
        let exception = ("api/.gitignore", "!.env\n");
        assert!(!ignored(&[top, exception], "api/.env"));
        assert!(ignored(&[top, exception], ".env"));
        // What is in an ignored directory cannot be included again.
        assert!(ignored(&[top, ("secrets/.gitignore", "!x.env\n")], "secrets/x.env"));
        assert!(!ignored(&[], ".env"));
    }

    #[test]
    fn a_pipe_is_not_waited_for() {
        let top = tempfile::tempdir().unwrap();
        fs::create_dir(top.path().join(".git")).unwrap();
        fs::write(top.path().join(".git/HEAD"), "").unwrap();
        crate::sys::fifo::make_fifo(&top.path().join(".gitignore"));
        let repository = GitRepository::of(top.path()).unwrap();
        assert!(!is_ignored(&repository, Path::new(".env")));
    }
}
