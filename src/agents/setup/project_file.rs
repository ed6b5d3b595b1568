use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::atomic_file;
use crate::model::{Message, MessageClass};
use crate::regular_file::open_regular;

/// Largest file that is merged, in bytes.
const MOST: u64 = 4 * 1024 * 1024;

/// A file of a project as it is and as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectFile {
    /// Relative to the project directory.
    pub name: &'static str,
    path: PathBuf,
    before: Option<String>,
    after: String,
}

impl ProjectFile {
    /// Reads the file and merges something into its text, which is `None` if there is none.
    pub(super) fn merge(
        dir: &Path,
        name: &'static str,
        merge: impl FnOnce(Option<&str>) -> Result<String, String>,
    ) -> Result<ProjectFile, Message> {
        let path = dir.join(name);
        let before = read(dir, &path).map_err(|error| {
            let text = format!("cannot read {name}: {error}");
            Message::new(MessageClass::Disk, text)
                .help("make it a regular file of UTF-8 text, not a link (nothing was written)")
        })?;
        let after = merge(before.as_deref()).map_err(|why| {
            Message::new(MessageClass::Config, format!("cannot read {name}: {why}"))
                .help("fix it or move it away, then try again (nothing was written)")
        })?;
        Ok(ProjectFile { name, path, before, after })
    }

    /// Whether there is nothing to write.
    pub fn is_up_to_date(&self) -> bool {
        self.before.as_ref() == Some(&self.after)
    }

    /// Returns the text as it should be.
    pub fn text(&self) -> &str {
        &self.after
    }

    /// Writes the file, unless nothing changes.
    ///
    /// # Errors
    /// It cannot be written, or was edited meanwhile; it then stays as it is.
    pub fn write(&self) -> Result<(), Message> {
        if self.is_up_to_date() {
            return Ok(());
        }
        self.replace().map_err(|error| {
            let text = format!("cannot write {}: {error}", self.name);
            Message::new(MessageClass::Disk, text)
                .help("make the directory writable and free space on the disk")
        })
    }

    fn replace(&self) -> io::Result<()> {
        let dir = self.path.parent().unwrap_or(Path::new("."));
        match fs::create_dir(dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
        if read(dir.parent().unwrap_or(dir), &self.path)? != self.before {
            return Err(io::Error::other("it was edited meanwhile"));
        }
        let mode = fs::symlink_metadata(&self.path).map(|about| about.permissions());
        atomic_file::replace(&self.path, atomic_file::USUAL, |file| {
            file.write_all(self.after.as_bytes())?;
            if let Ok(mode) = mode {
                file.set_permissions(mode)?;
            }
            file.sync_all()
        })
    }
}

/// Reads a file below `dir`, through no link.
fn read(dir: &Path, path: &Path) -> io::Result<Option<String>> {
    let is_link = |path: &Path| path.symlink_metadata().is_ok_and(|about| about.is_symlink());
    let above = path.parent().unwrap_or(dir);
    if (above != dir && is_link(above)) || is_link(path) {
        return Err(io::Error::other("it is a symbolic link"));
    }
    let file = match open_regular(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    if file.metadata()?.len() > MOST {
        return Err(io::Error::other("it is too large"));
    }
    let mut text = String::new();
    file.take(MOST).read_to_string(&mut text)?;
    Ok(Some(text))
}
