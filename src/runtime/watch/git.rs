use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How long git is waited for. A checkout of a large repository takes seconds; a lock that is older was left
/// behind by a git that died, and must not delay every save.
pub(super) const LOCK_MAX: Duration = Duration::from_secs(10);

/// The lock that git holds while it writes files of the repository around `folder`, if there is one.
pub(super) fn index_lock(folder: &Path) -> Option<PathBuf> {
    let (_, git) = repository(folder)?;
    Some(git.join("index.lock"))
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

/// Whether git is at work: its lock is there and fresh.
pub(super) fn is_locked(lock: &Path) -> bool {
    let Ok(meta) = fs::symlink_metadata(lock) else { return false };
    let Ok(modified) = meta.modified() else { return false };
    // A time in the future counts as fresh; the wait itself is bounded as well.
    SystemTime::now().duration_since(modified).map_or(true, |age| age < LOCK_MAX)
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
        assert_eq!(index_lock(&top.join("main/src/deep")), Some(top.join("main/.git/index.lock")));
        fs::create_dir_all(top.join("linked")).unwrap();
        fs::write(top.join("linked/.git"), "gitdir: ../main/.git/worktrees/linked\n").unwrap();
        let lock = index_lock(&top.join("linked")).unwrap();
        assert_eq!(lock, top.join("linked/../main/.git/worktrees/linked/index.lock"));
        assert!(!is_locked(&top.join("main/.git/index.lock")));
        fs::write(top.join("main/.git/index.lock"), "").unwrap();
        assert!(is_locked(&top.join("main/.git/index.lock")));
    }

    #[test]
    fn an_old_lock_is_nobody_at_work() {
        let dir = tempfile::tempdir().unwrap();
        let lock = dir.path().join("index.lock");
        let file = fs::File::create(&lock).unwrap();
        file.set_modified(SystemTime::now() - LOCK_MAX * 2).unwrap();
        assert!(!is_locked(&lock));
    }
}
