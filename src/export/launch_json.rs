use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::atomic_file;
use crate::model::{Message, MessageClass};
use crate::regular_file::open_linked;

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

    /// Returns its path.
    pub fn path(&self) -> PathBuf {
        self.workspace.join(".vscode").join("launch.json")
    }

    /// Returns its text; `None` if it does not exist.
    ///
    /// # Errors
    /// It exists but cannot be read (class `disk`).
    pub fn read(&self) -> Result<Option<String>, Message> {
        // A link may lead elsewhere, but only a regular file is read.
        match open_linked(&self.path()).and_then(io::read_to_string) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.file_error("read", &error)),
        }
    }

    /// Replaces the file atomically. A symbolic link stays one, and the permissions stay.
    ///
    /// # Errors
    /// It cannot be written (class `disk`); its content is then unchanged.
    pub fn write(&self, text: &str) -> Result<(), Message> {
        self.replace(text).map_err(|error| self.file_error("write", &error))
    }

    fn replace(&self, text: &str) -> io::Result<()> {
        let path = self.path();
        fs::create_dir_all(path.parent().unwrap_or(&self.workspace))?;
        let target = fs::canonicalize(&path).unwrap_or(path);
        atomic_file::replace(&target, atomic_file::USUAL, |file| {
            file.write_all(text.as_bytes())?;
            if let Ok(about) = fs::metadata(&target) {
                file.set_permissions(about.permissions())?;
            }
            file.sync_all()
        })
    }

    fn file_error(&self, what: &str, error: &io::Error) -> Message {
        let text = format!("cannot {what} {}: {error}", self.path().display());
        Message::new(MessageClass::Disk, text).help("use `--dry-run` to print it instead")
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

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

    #[test]
    fn links_and_permissions_stay() {
        let place = tempfile::tempdir().unwrap();
        let file = LaunchJson { workspace: place.path().to_owned() };
        assert_eq!(file.read().unwrap(), None);
        file.write("{}").unwrap();
        assert_eq!(file.read().unwrap().as_deref(), Some("{}"));
        let real = place.path().join("real.json");
        fs::rename(file.path(), &real).unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
        symlink("../real.json", file.path()).unwrap();
        file.write("[]").unwrap();
        assert!(file.path().is_symlink());
        assert_eq!(fs::read_to_string(&real).unwrap(), "[]");
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(place.path().join(".vscode")).unwrap().count(), 1);
    }

    #[test]
    fn what_cannot_be_written_is_left_as_it_was() {
        let place = tempfile::tempdir().unwrap();
        let file = LaunchJson { workspace: place.path().to_owned() };
        fs::create_dir_all(file.path()).unwrap();
        assert!(file.write("{}").unwrap_err().text.starts_with("cannot write"));
        assert!(file.read().unwrap_err().text.starts_with("cannot read"));
        assert_eq!(fs::read_dir(place.path().join(".vscode")).unwrap().count(), 1);
    }
}
