//! Files of other programs in a project, edited in place: what is there stays, and each is replaced as a whole
//! or not at all. A link in the project may lead to another file of it, but not out of it.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::atomic_file;
use crate::model::{Message, MessageClass};
use crate::regular_file::{open_regular, read_text};

/// Largest file that is merged, in bytes.
const MOST: u64 = 1024 * 1024;

/// A file of a project as it is and as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectFile {
    /// Relative to the project directory.
    pub name: &'static str,
    dir: PathBuf,
    before: Option<String>,
    after: String,
}

impl ProjectFile {
    /// Reads the file and merges something into its text, which is `None` if there is none.
    ///
    /// # Errors
    /// It cannot be read, leads out of the project, or cannot be merged. Nothing is written then.
    pub fn merge(
        dir: &Path,
        name: &'static str,
        merge: impl FnOnce(Option<&str>) -> Result<String, String>,
    ) -> Result<ProjectFile, Message> {
        let (_, before) = read(dir, name).map_err(|error| {
            let text = format!("cannot read {name}: {error}");
            Message::new(MessageClass::Disk, text)
                .help("make it a readable file of UTF-8 text in this project (nothing was written)")
        })?;
        let after = merge(before.as_deref()).map_err(|why| {
            Message::new(MessageClass::Config, format!("cannot read {name}: {why}"))
                .help("fix it or move it away, then try again (nothing was written)")
        })?;
        Ok(ProjectFile { name, dir: dir.to_owned(), before, after })
    }

    pub fn path(&self) -> PathBuf {
        self.dir.join(self.name)
    }

    /// Whether there is nothing to write.
    pub fn is_up_to_date(&self) -> bool {
        self.before.as_ref() == Some(&self.after)
    }

    /// Returns the text as it should be.
    pub fn text(&self) -> &str {
        &self.after
    }

    /// Writes the file, unless nothing changes. A link stays one, and the permissions stay.
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
                .help("make the directory writable and free space on the disk, or use --dry-run")
        })
    }

    fn replace(&self) -> io::Result<()> {
        match fs::create_dir(self.path().parent().unwrap_or(&self.dir)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let (path, now) = read(&self.dir, self.name)?;
        if now != self.before {
            return Err(io::Error::other("it was edited meanwhile"));
        }
        let about = fs::symlink_metadata(&path);
        atomic_file::replace(&path, atomic_file::USUAL, |file| {
            file.write_all(self.after.as_bytes())?;
            if let Ok(about) = about {
                file.set_permissions(about.permissions())?;
            }
            file.sync_all()
        })
    }
}

/// Reads a file of a project. Returns where it is, without links.
fn read(dir: &Path, name: &str) -> io::Result<(PathBuf, Option<String>)> {
    let path = dir.join(name);
    let place = match place_of(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((path, None)),
        place => place?,
    };
    if !place.starts_with(fs::canonicalize(dir)?) {
        return Err(io::Error::other("a symbolic link leads out of the project"));
    }
    let file = match open_regular(&place) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((place, None)),
        opened => opened?,
    };
    Ok((place, Some(read_text(file, MOST)?)))
}

/// Returns where a path leads, also if there is no file yet.
fn place_of(path: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        place => return place,
    }
    if path.is_symlink() {
        return Err(io::Error::other("it is a symbolic link to nothing"));
    }
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::NotFound.into());
    };
    Ok(fs::canonicalize(dir)?.join(name))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    /// Adds a line to `d/f` in a directory.
    fn add(dir: &Path) -> Result<ProjectFile, Message> {
        ProjectFile::merge(dir, "d/f", |text| Ok(format!("{}+\n", text.unwrap_or_default())))
    }

    #[test]
    fn links_in_the_project_and_permissions_stay() {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path();
        let file = add(dir).unwrap();
        file.write().unwrap();
        assert_eq!(fs::read_to_string(dir.join("d/f")).unwrap(), "+\n");
        fs::rename(dir.join("d/f"), dir.join("real")).unwrap();
        fs::set_permissions(dir.join("real"), fs::Permissions::from_mode(0o640)).unwrap();
        symlink("../real", dir.join("d/f")).unwrap();
        add(dir).unwrap().write().unwrap();
        assert!(dir.join("d/f").is_symlink());
        assert_eq!(fs::read_to_string(dir.join("real")).unwrap(), "+\n+\n");
        assert_eq!(fs::metadata(dir.join("real")).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(dir.join("d")).unwrap().count(), 1, "no draft is left");
        let late = add(dir).unwrap();
        fs::write(dir.join("real"), "mine").unwrap();
        assert!(late.write().unwrap_err().text.ends_with("it was edited meanwhile"));
    }

    #[test]
    fn links_out_of_the_project_and_what_is_no_file_are_refused() {
        let place = tempfile::tempdir().unwrap();
        let (dir, out) = (place.path().join("project"), place.path().join("out"));
        for path in [&dir, &out, &dir.join("d")] {
            fs::create_dir(path).unwrap();
        }
        fs::write(out.join("f"), "precious").unwrap();
        fs::write(out.join("large"), " ".repeat(MOST as usize + 1)).unwrap();
        let refused = |why: &str| {
            let text = add(&dir).unwrap_err().text;
            assert!(text.starts_with("cannot read d/f: ") && text.contains(why), "{text}");
        };
        symlink(out.join("f"), dir.join("d/f")).unwrap();
        refused("leads out of the project");
        fs::remove_file(dir.join("d/f")).unwrap();
        symlink(out.join("new"), dir.join("d/f")).unwrap();
        refused("to nothing");
        fs::remove_file(dir.join("d/f")).unwrap();
        fs::rename(out.join("large"), dir.join("d/f")).unwrap();
        refused("larger than 1 MiB");
        fs::write(dir.join("d/f"), b"\xff").unwrap();
        refused("not UTF-8");
        fs::remove_file(dir.join("d/f")).unwrap();
        fs::create_dir(dir.join("d/f")).unwrap();
        refused("not a regular file");
        fs::remove_dir_all(dir.join("d")).unwrap();
        symlink(&out, dir.join("d")).unwrap();
        refused("leads out of the project");
        fs::remove_file(out.join("f")).unwrap();
        refused("leads out of the project");
        let late = {
            fs::remove_file(dir.join("d")).unwrap();
            add(&dir).unwrap()
        };
        symlink(&out, dir.join("d")).unwrap();
        assert!(late.write().unwrap_err().text.contains("leads out of the project"));
        assert_eq!(fs::read_dir(&out).unwrap().count(), 0);
    }
}
