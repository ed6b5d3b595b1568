//! What the names of a stack end in.

use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

use crate::git_repository::GitRepository;
use crate::model::Name;

/// Returns `shop.localhost`, or in a linked git worktree `feature.shop.localhost`.
pub(super) fn domain_of(stack: &str, dir: &Path) -> String {
    let repository = GitRepository::of(dir);
    let main = repository.as_ref().and_then(GitRepository::main_work_tree);
    let (Some(GitRepository { work_tree, .. }), Some(main)) = (repository, main) else {
        return format!("{stack}.localhost");
    };
    let worktree = label(&work_tree);
    // A stack named after its worktree has no name of its own, but that of the repository.
    let unnamed = dir == work_tree && stack == worktree;
    let stack = if unnamed { label(&main) } else { stack.to_owned() };
    format!("{worktree}.{stack}.localhost")
}

/// Returns the name of a directory as part of a host name. One that is too long is cut and gets a
/// hash, so that two of them stay different.
fn label(dir: &Path) -> String {
    let text = dir.file_name().unwrap_or_default().to_string_lossy();
    let slug = Name::nearest(&text).map_or_else(|| "stack".to_owned(), String::from);
    if text.len() <= Name::MAX {
        return slug;
    }
    let hash = format!("{:06x}", xxh3_64(text.as_bytes()) & 0xff_ffff);
    let cut = slug.len().min(Name::MAX - hash.len() - 1);
    format!("{}-{hash}", slug[..cut].trim_end_matches('-'))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_linked_worktree_comes_before_its_stack() {
        let place = tempfile::tempdir().unwrap();
        let top = fs::canonicalize(place.path()).unwrap();
        let long = "x".repeat(70);
        for linked in ["Feature 1", &long] {
            let state = top.join("Shop/.git/worktrees").join(linked);
            fs::create_dir_all(&state).unwrap();
            fs::create_dir_all(top.join(linked).join("app")).unwrap();
            fs::write(top.join(linked).join(".git"), format!("gitdir: {}", state.display()))
                .unwrap();
            fs::write(state.join("commondir"), "../..").unwrap();
        }
        let domain = |stack, dir: &str| domain_of(stack, &top.join(dir));
        assert_eq!(domain("shop", "Shop"), "shop.localhost");
        assert_eq!(domain("store", "Feature 1"), "feature-1.store.localhost");
        assert_eq!(domain("feature-1", "Feature 1"), "feature-1.shop.localhost");
        assert_eq!(domain("app", "Feature 1/app"), "feature-1.app.localhost");
        let (first, rest) = domain_of("shop", &top.join(&long))
            .split_once('.')
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .unwrap();
        assert_eq!((first.len(), rest.as_str()), (63, "shop.localhost"));
        let other = label(&top.join("x".repeat(71)));
        assert_ne!(first, other);
    }
}
