//! Writes the files of an export.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Export;
use crate::atomic_file::WriteTarget;
use crate::model::{Message, MessageClass};

impl Export {
    /// Writes its only file to `path`, or all of its files into the directory `path`. Returns the
    /// paths. Each file is written as a whole. A link that `path` itself is stays one, as in a shell.
    ///
    /// # Errors
    /// A file exists and `force` is not set (class `usage`), or it cannot be written (class `disk`).
    /// In the first case nothing was written.
    pub fn write(&self, path: &Path, force: bool) -> Result<Vec<PathBuf>, Message> {
        let paths: Vec<PathBuf> = match self.files.as_slice() {
            [_] => vec![path.to_owned()],
            files => files.iter().map(|file| path.join(&file.name)).collect(),
        };
        paths.iter().try_for_each(|path| check_target(path, force))?;
        for (file, path) in self.files.iter().zip(&paths) {
            let is_named = paths.len() == 1;
            replace(path, is_named, &file.text).map_err(|error| {
                let text = format!("cannot write {}: {error}", path.display());
                Message::new(MessageClass::Disk, text).help("use another path with --output")
            })?;
        }
        Ok(paths)
    }
}

fn check_target(path: &Path, force: bool) -> Result<(), Message> {
    let refused = |what: &str, help: &str| {
        let text = format!("{} {what}", path.display());
        Err(Message::new(MessageClass::Usage, text).help(help))
    };
    match fs::metadata(path) {
        Ok(about) if !about.is_file() => {
            refused("is not a regular file", "use another path with --output")
        }
        Ok(_) if !force => refused("exists", "use --force to replace it, or another path"),
        // A link to nothing would create what it leads to.
        Err(_) if !force && path.is_symlink() => {
            refused("is a symbolic link", "use --force to write what it leads to, or another path")
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

fn replace(path: &Path, is_named: bool, text: &str) -> io::Result<()> {
    if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        fs::create_dir_all(dir)?;
    }
    let target = match is_named {
        true => WriteTarget::of(path)?,
        false => WriteTarget::File(path.to_owned()),
    };
    target.write(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::export::{Export, ExportNotes, ExportedFile};

    fn export(names: &[&str]) -> Export {
        let file =
            |name: &&str| ExportedFile { name: (*name).to_owned(), text: format!("{name}\n") };
        Export { files: names.iter().map(file).collect(), notes: ExportNotes::default() }
    }

    #[test]
    fn nothing_is_overwritten_without_force() {
        let place = tempfile::tempdir().unwrap();
        let one = place.path().join("out/compose.yaml");
        assert_eq!(export(&["a"]).write(&one, false).unwrap(), std::slice::from_ref(&one));
        assert_eq!(fs::read_to_string(&one).unwrap(), "a\n");
        let refused = export(&["b"]).write(&one, false).unwrap_err();
        assert!(refused.text.ends_with("compose.yaml exists"), "{}", refused.text);
        export(&["b"]).write(&one, true).unwrap();
        assert_eq!(fs::read_to_string(&one).unwrap(), "b\n");

        let dir = place.path().join("units");
        assert_eq!(export(&["x.service", "y.target"]).write(&dir, false).unwrap().len(), 2);
        fs::remove_file(dir.join("x.service")).unwrap();
        export(&["x.service", "y.target"]).write(&dir, false).unwrap_err();
        assert!(!dir.join("x.service").exists(), "one of them exists, so none is written");
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1, "no draft is left");
    }

    #[test]
    fn only_files_are_replaced() {
        let place = tempfile::tempdir().unwrap();
        let refused = export(&["a"]).write(place.path(), true).unwrap_err();
        assert!(refused.text.ends_with("is not a regular file"), "{}", refused.text);
        let link = place.path().join("link");
        std::os::unix::fs::symlink("real", &link).unwrap();
        fs::write(place.path().join("real"), "old").unwrap();
        export(&["a"]).write(&link, true).unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read_to_string(place.path().join("real")).unwrap(), "a\n");
        fs::remove_file(place.path().join("real")).unwrap();
        let refused = export(&["a"]).write(&link, false).unwrap_err();
        assert!(refused.text.ends_with("is a symbolic link"), "{}", refused.text);
        assert!(!place.path().join("real").exists());

        // Links among several files are nobody's choice.
        let dir = place.path().join("units");
        fs::create_dir(&dir).unwrap();
        fs::write(place.path().join("precious"), "mine").unwrap();
        std::os::unix::fs::symlink("../precious", dir.join("x.service")).unwrap();
        export(&["x.service", "y.target"]).write(&dir, true).unwrap();
        assert_eq!(fs::read_to_string(place.path().join("precious")).unwrap(), "mine");
        assert_eq!(fs::read_to_string(dir.join("x.service")).unwrap(), "x.service\n");
    }
}
