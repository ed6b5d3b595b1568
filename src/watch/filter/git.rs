use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::git_repository::GitRepository;
use crate::model::CONFIG_FILES;

/// Maximum age of a lock that counts. A checkout of a large repository takes seconds; an older lock
/// was left by a crashed git and must not delay every save.
const MAX_LOCK_AGE: Duration = Duration::from_secs(10);

/// How long to wait for the next step of a rebase. Steps are some 10 ms apart; a longer gap means
/// that it stopped for the user to edit.
const REBASE_PAUSE: Duration = Duration::from_millis(300);

/// Maximum total wait for git, regardless of the number of steps.
pub(crate) const MAX_BUSY: Duration = Duration::from_secs(60);

/// Directories that exist during multi-step operations: a rebase, `git am`, or a cherry-pick or
/// revert of several commits.
const SEQUENCES: [&str; 3] = ["rebase-merge", "rebase-apply", "sequencer"];

/// Files in the git directory that each step writes.
const STEPS: [&str; 3] = ["HEAD", "index", "ORIG_HEAD"];

pub(crate) fn git_dir(dir: &Path) -> Option<PathBuf> {
    GitRepository::of(dir).map(|repository| repository.git_dir)
}

/// Returns the root of the project that contains `path`: its repository, or else the nearest
/// directory with a `devstack.toml` or a Procfile.
pub(crate) fn project_root(path: &Path) -> Option<PathBuf> {
    let is_project = |dir: &&Path| CONFIG_FILES.iter().any(|file| dir.join(file).is_file());
    let stack = || path.ancestors().find(is_project);
    let repository = GitRepository::of(path).map(|repository| repository.work_tree);
    repository.or_else(|| stack().map(Path::to_owned))
}

/// Returns whether git is changing the work tree of this git directory: its lock exists and is
/// fresh, or it is between two steps of a rebase.
pub(crate) fn is_busy(git: &Path) -> bool {
    is_younger(&git.join("index.lock"), MAX_LOCK_AGE)
        || (SEQUENCES.iter().any(|name| git.join(name).is_dir())
            && STEPS.iter().any(|name| is_younger(&git.join(name), REBASE_PAUSE)))
}

fn is_younger(path: &Path, age: Duration) -> bool {
    let Ok(meta) = fs::symlink_metadata(path) else { return false };
    let Ok(modified) = meta.modified() else { return false };
    // A time in the future counts as fresh; the wait itself is bounded as well.
    SystemTime::now().duration_since(modified).map_or(true, |since| since < age)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_is_found_in_plain_and_linked_worktrees() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path();
        fs::create_dir_all(top.join("main/.git")).unwrap();
        fs::create_dir_all(top.join("main/src/deep")).unwrap();
        assert_eq!(git_dir(&top.join("main/src/deep")), Some(top.join("main/.git")));
        fs::create_dir_all(top.join("linked")).unwrap();
        fs::write(top.join("linked/.git"), "gitdir: ../main/.git/worktrees/linked\n").unwrap();
        let git = git_dir(&top.join("linked")).unwrap();
        assert_eq!(git, top.join("linked/../main/.git/worktrees/linked"));
        assert!(!is_busy(&top.join("main/.git")));
        fs::write(top.join("main/.git/index.lock"), "").unwrap();
        assert!(is_busy(&top.join("main/.git")));
    }

    #[test]
    fn old_lock_does_not_count() {
        let dir = tempfile::tempdir().unwrap();
        let file = fs::File::create(dir.path().join("index.lock")).unwrap();
        file.set_modified(SystemTime::now() - MAX_LOCK_AGE * 2).unwrap();
        assert!(!is_busy(dir.path()));
    }

    #[test]
    fn between_the_steps_of_a_rebase_git_is_at_work_until_it_stops_for_a_person() {
        let dir = tempfile::tempdir().unwrap();
        let head = fs::File::create(dir.path().join("HEAD")).unwrap();
        // In the future, so that a slow machine does not matter.
        head.set_modified(SystemTime::now() + MAX_LOCK_AGE).unwrap();
        assert!(!is_busy(dir.path()));
        fs::create_dir(dir.path().join("rebase-merge")).unwrap();
        assert!(is_busy(dir.path()));
        head.set_modified(SystemTime::now() - REBASE_PAUSE * 2).unwrap();
        assert!(!is_busy(dir.path()));
    }

    #[test]
    fn without_a_repository_the_project_is_the_stack_of_services() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path();
        fs::create_dir_all(top.join("shop/api/src")).unwrap();
        fs::write(top.join("shop/devstack.toml"), "").unwrap();
        assert_eq!(project_root(&top.join("shop/api/src")), Some(top.join("shop")));
        fs::create_dir(top.join(".git")).unwrap();
        assert_eq!(project_root(&top.join("shop/api/src")), Some(top.to_owned()));
    }
}
