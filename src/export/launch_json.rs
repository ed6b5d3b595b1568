use std::path::{Path, PathBuf};

use super::vscode::{AttachTarget, merge};
use crate::model::Message;
use crate::project_file::ProjectFile;

/// The `launch.json` that VS Code reads for a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchJson {
    /// The directory opened in VS Code, which contains `.vscode`.
    pub workspace: PathBuf,
}

impl LaunchJson {
    /// Finds the file for the stack in `dir`, an absolute path: in the nearest `.vscode` up to the
    /// root of the repository, else in a new one in `dir`.
    pub fn of(dir: &Path) -> LaunchJson {
        let root = dir.ancestors().find(|directory| directory.join(".git").exists()).unwrap_or(dir);
        let inside = dir.ancestors().take_while(|directory| directory.starts_with(root));
        let found = inside.into_iter().find(|directory| directory.join(".vscode").is_dir());
        LaunchJson { workspace: found.unwrap_or(dir).to_owned() }
    }

    /// Returns the file with an entry for each of `attach`. Writes nothing.
    ///
    /// # Errors
    /// It cannot be read, or is not valid for VS Code.
    pub fn with(&self, attach: &[AttachTarget]) -> Result<ProjectFile, Message> {
        ProjectFile::merge(&self.workspace, ".vscode/launch.json", |text| {
            merge(text, attach, &self.workspace)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::LaunchJson;

    #[test]
    fn the_nearest_directory_in_the_repository_is_taken() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path();
        let stack = root.join("repo/apps/shop");
        fs::create_dir_all(&stack).unwrap();
        fs::create_dir(root.join(".vscode")).unwrap();
        assert_eq!(LaunchJson::of(&stack).workspace, stack, "without a repository: a new one");
        fs::create_dir(root.join("repo/.git")).unwrap();
        assert_eq!(LaunchJson::of(&stack).workspace, stack, "nothing above the repository");
        fs::create_dir(root.join("repo/.vscode")).unwrap();
        assert_eq!(LaunchJson::of(&stack).workspace, root.join("repo"));
        fs::create_dir(root.join("repo/apps/.vscode")).unwrap();
        assert_eq!(LaunchJson::of(&stack).workspace, root.join("repo/apps"));
    }
}
