use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How old a lock may be. A checkout of a large repository takes seconds; a lock that is older was left
/// behind by a git that died, and must not delay every save.
const LOCK_MAX: Duration = Duration::from_secs(10);

/// How long after a step of a rebase its next one is waited for. The steps of one follow each other within some
/// 10 ms; longer means that it stopped for a person, who edits now.
const STEP_PAUSE: Duration = Duration::from_millis(300);

/// How long git is waited for in all, however many steps it takes.
pub(super) const WORK_MAX: Duration = Duration::from_secs(60);

/// What holds several steps of git together, in its folder: a rebase, `git am`, a cherry-pick or revert of several.
const SEQUENCES: [&str; 3] = ["rebase-merge", "rebase-apply", "sequencer"];

/// What each step of a sequence writes, in git's folder.
const STEPS: [&str; 3] = ["HEAD", "index", "ORIG_HEAD"];

/// The folder of git for the repository around `folder`, if there is one.
pub(super) fn git_folder(folder: &Path) -> Option<PathBuf> {
    repository(folder).map(|(_, git)| git)
}

/// The top of the project that `path` is part of: of its repository, or without one the nearest folder with a
/// `devstack.toml`.
pub(super) fn project(path: &Path) -> Option<PathBuf> {
    let stack = || path.ancestors().find(|folder| folder.join("devstack.toml").is_file());
    repository(path).map(|(top, _)| top).or_else(|| stack().map(Path::to_owned))
}

/// The work tree around `folder` and its git folder, which for a linked worktree is elsewhere.
pub(super) fn repository(folder: &Path) -> Option<(PathBuf, PathBuf)> {
    folder.ancestors().find_map(|top| {
        let dot = top.join(".git");
        let meta = fs::metadata(&dot).ok()?;
        if meta.is_dir() {
            return Some((top.to_owned(), dot));
        }
        // Longer than any path a system allows is no pointer to a git folder.
        let text = (meta.len() <= 8192).then(|| fs::read_to_string(&dot).ok())??;
        let target = text.strip_prefix("gitdir:")?.trim();
        Some((top.to_owned(), top.join(target)))
    })
}

/// Whether git is at work on the files of the repository with this folder: its lock is there and fresh, or it is
/// between two steps of a rebase.
pub(super) fn is_at_work(git: &Path) -> bool {
    is_younger(&git.join("index.lock"), LOCK_MAX)
        || (SEQUENCES.iter().any(|name| git.join(name).is_dir())
            && STEPS.iter().any(|name| is_younger(&git.join(name), STEP_PAUSE)))
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
        assert_eq!(git_folder(&top.join("main/src/deep")), Some(top.join("main/.git")));
        fs::create_dir_all(top.join("linked")).unwrap();
        fs::write(top.join("linked/.git"), "gitdir: ../main/.git/worktrees/linked\n").unwrap();
        let git = git_folder(&top.join("linked")).unwrap();
        assert_eq!(git, top.join("linked/../main/.git/worktrees/linked"));
        assert!(!is_at_work(&top.join("main/.git")));
        fs::write(top.join("main/.git/index.lock"), "").unwrap();
        assert!(is_at_work(&top.join("main/.git")));
    }

    #[test]
    fn an_old_lock_is_nobody_at_work() {
        let dir = tempfile::tempdir().unwrap();
        let file = fs::File::create(dir.path().join("index.lock")).unwrap();
        file.set_modified(SystemTime::now() - LOCK_MAX * 2).unwrap();
        assert!(!is_at_work(dir.path()));
    }

    #[test]
    fn between_the_steps_of_a_rebase_git_is_at_work_until_it_stops_for_a_person() {
        let dir = tempfile::tempdir().unwrap();
        let head = fs::File::create(dir.path().join("HEAD")).unwrap();
        // In the future, so that a slow machine has no say.
        head.set_modified(SystemTime::now() + LOCK_MAX).unwrap();
        assert!(!is_at_work(dir.path()));
        fs::create_dir(dir.path().join("rebase-merge")).unwrap();
        assert!(is_at_work(dir.path()));
        head.set_modified(SystemTime::now() - STEP_PAUSE * 2).unwrap();
        assert!(!is_at_work(dir.path()));
    }

    #[test]
    fn without_a_repository_the_project_is_the_stack_of_services() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path();
        fs::create_dir_all(top.join("shop/api/src")).unwrap();
        fs::write(top.join("shop/devstack.toml"), "").unwrap();
        assert_eq!(project(&top.join("shop/api/src")), Some(top.join("shop")));
        fs::create_dir(top.join(".git")).unwrap();
        assert_eq!(project(&top.join("shop/api/src")), Some(top.to_owned()));
    }
}
