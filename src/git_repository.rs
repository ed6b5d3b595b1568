//! Finds the git repository of a directory by its files, without running git.

use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::regular_file::{open_linked, read_text};

/// In bytes. A pointer to a git directory is no longer than the longest path.
const MAX_POINTER: u64 = 8192;

/// A work tree and where git keeps its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GitRepository {
    /// The directory with `.git`.
    pub work_tree: PathBuf,
    /// `.git`; for a linked worktree its directory in the `.git` of the repository.
    pub git_dir: PathBuf,
}

impl GitRepository {
    /// Returns the repository that contains a directory.
    pub fn of(dir: &Path) -> Option<GitRepository> {
        dir.ancestors().find_map(|top| {
            let dot = top.join(".git");
            let git_dir = match fs::metadata(&dot).ok()?.is_dir() {
                true => dot,
                false => top.join(pointer(&dot)?.strip_prefix("gitdir:")?.trim()),
            };
            Some(GitRepository { work_tree: top.to_owned(), git_dir })
        })
    }

    /// Returns the git directory that all worktrees of the repository share.
    pub fn common_dir(&self) -> PathBuf {
        match self.linked_to() {
            Some(common) => common,
            None => self.git_dir.clone(),
        }
    }

    /// Returns the main worktree if this is a linked one. `None` also if the repository is bare.
    pub fn main_work_tree(&self) -> Option<PathBuf> {
        let common = self.linked_to()?;
        let top = common.parent().filter(|_| common.ends_with(".git"))?;
        Some(top.to_owned())
    }

    /// Returns what identifies the repository to people: the main worktree, or a bare repository.
    pub fn root(&self) -> PathBuf {
        match self.linked_to() {
            Some(common) => self.main_work_tree().unwrap_or(common),
            None => self.work_tree.clone(),
        }
    }

    /// Returns the git directory of the main worktree if this is a linked one. Submodules have a
    /// `.git` file too, but no `commondir`.
    fn linked_to(&self) -> Option<PathBuf> {
        let common = pointer(&self.git_dir.join("commondir"))?;
        fs::canonicalize(self.git_dir.join(common.trim())).ok()
    }
}

/// Returns `path` relative to `top`, if no `..` leads out of it.
pub(crate) fn below<'p>(path: &'p Path, top: &Path) -> Option<&'p Path> {
    let rest = path.strip_prefix(top).ok()?;
    rest.components().all(|part| matches!(part, Component::Normal(_))).then_some(rest)
}

fn pointer(path: &Path) -> Option<String> {
    read_text(open_linked(path).ok()?, MAX_POINTER).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn git(dir: &Path) -> GitRepository {
        GitRepository::of(dir).expect("a repository")
    }

    #[test]
    fn linked_worktrees_lead_to_the_main_one() {
        let place = tempfile::tempdir().unwrap();
        let top = fs::canonicalize(place.path()).unwrap();
        let state = top.join("main/.git/worktrees/linked");
        fs::create_dir_all(&state).unwrap();
        fs::create_dir_all(top.join("linked/api")).unwrap();
        fs::write(top.join("linked/.git"), "gitdir: ../main/.git/worktrees/linked\n").unwrap();
        fs::write(state.join("commondir"), "../..\n").unwrap();

        let linked = git(&top.join("linked/api"));
        assert_eq!(linked.work_tree, top.join("linked"));
        assert_eq!(linked.main_work_tree(), Some(top.join("main")));
        assert_eq!((linked.root(), linked.common_dir()), (top.join("main"), top.join("main/.git")));
        let main = git(&top.join("main"));
        assert_eq!(main.main_work_tree(), None);
        assert_eq!((main.root(), main.common_dir()), (top.join("main"), top.join("main/.git")));
        assert_eq!(GitRepository::of(&top), None);
    }

    #[test]
    fn a_worktree_of_a_bare_repository_has_no_main_one() {
        let place = tempfile::tempdir().unwrap();
        let top = fs::canonicalize(place.path()).unwrap();
        let state = top.join("shop.git/worktrees/linked");
        fs::create_dir_all(&state).unwrap();
        fs::create_dir(top.join("linked")).unwrap();
        let pointer = format!("gitdir: {}\n", state.display());
        fs::write(top.join("linked/.git"), pointer).unwrap();
        fs::write(state.join("commondir"), "../..\n").unwrap();
        let linked = git(&top.join("linked"));
        assert_eq!((linked.main_work_tree(), linked.root()), (None, top.join("shop.git")));
    }

    #[test]
    fn a_submodule_is_a_repository_of_its_own() {
        let place = tempfile::tempdir().unwrap();
        let top = place.path();
        fs::create_dir_all(top.join(".git/modules/lib")).unwrap();
        fs::create_dir(top.join("lib")).unwrap();
        fs::write(top.join("lib/.git"), "gitdir: ../.git/modules/lib\n").unwrap();
        let lib = git(&top.join("lib"));
        assert_eq!((lib.main_work_tree(), lib.root()), (None, top.join("lib")));
    }

    #[test]
    fn only_paths_within_a_directory_are_below_it() {
        let path = |text: &'static str| below(Path::new(text), Path::new("/shop"));
        assert_eq!(path("/shop/api/.env"), Some(Path::new("api/.env")));
        assert_eq!(path("/shop/../other/.env"), None);
        assert_eq!(path("/other/.env"), None);
    }
}
