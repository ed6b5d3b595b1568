//! Files that are replaced as a whole, so that no reader ever sees half of one.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::OFlags;

use crate::regular_file::{open_regular, require_own_dirs};

/// The mode of files for this user only.
pub(crate) const PRIVATE: u32 = 0o600;

/// The mode of other files, less what the umask takes.
pub(crate) const USUAL: u32 = 0o666;

/// Replaces a file: `fill` writes a draft beside it, which then takes its place.
pub(crate) fn replace(
    path: &Path,
    mode: u32,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    static DRAFTS: AtomicU32 = AtomicU32::new(0);
    // Several processes may write at once, so each has its own drafts.
    let number = DRAFTS.fetch_add(1, Ordering::Relaxed);
    let draft = beside(path, &format!("{}-{number}.new", std::process::id()));
    let filled = create_anew(&draft, mode).and_then(|mut file| fill(&mut file));
    let written = filled.and_then(|()| fs::rename(&draft, path));
    if written.is_err() {
        // It may not exist, or stay.
        let _ = fs::remove_file(&draft);
    }
    written
}

/// Creates a file in place of what there is: a killed process may have left one, or another user a link,
/// and what that leads to is not written.
pub(crate) fn create_anew(path: &Path, mode: u32) -> io::Result<File> {
    let _ = fs::remove_file(path);
    File::options().write(true).create_new(true).mode(mode).open(path)
}

/// Adds to a file that the user names, a pipe or a device, creating it if necessary. Never blocks.
pub(crate) fn append(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut options = File::options();
    options.append(true).create(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed());
    options.open(path)?.write_all(text)
}

/// What writing to a path means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WriteTarget {
    /// This file is replaced or created. It is no link.
    File(PathBuf),
    /// An open file, a device, a pipe or a directory, at the path as it was given.
    Stream(PathBuf),
}

impl WriteTarget {
    /// Follows links, also one to a file that does not exist yet: for paths that the user names.
    pub fn of(path: &Path) -> io::Result<WriteTarget> {
        /// As many as Linux follows.
        const MOST_LINKS: usize = 40;
        let mut place = path.to_owned();
        for _ in 0..MOST_LINKS {
            let Some(name) = place.file_name() else { break };
            let dir = place.parent().filter(|dir| !dir.as_os_str().is_empty());
            let dir = fs::canonicalize(dir.unwrap_or(Path::new(".")))?;
            let here = dir.join(name);
            // Such links lead to open files, under names that may mean others by now.
            if dir.starts_with("/proc") || dir.starts_with("/dev/fd") {
                break;
            }
            match fs::read_link(&here) {
                Ok(next) => place = dir.join(next),
                Err(_) if fs::metadata(&here).is_ok_and(|file| !file.is_file()) => break,
                Err(_) => return Ok(WriteTarget::File(here)),
            }
        }
        Ok(WriteTarget::Stream(path.to_owned()))
    }

    /// Writes a file whole or not at all; adds to the others.
    pub fn write(&self, text: &[u8]) -> io::Result<()> {
        match self {
            WriteTarget::File(path) => replace(path, USUAL, |file| {
                file.write_all(text)?;
                file.sync_all()
            }),
            // A pipe without a reader must not block. An open file may have text already.
            WriteTarget::Stream(path) => append(path, text),
        }
    }
}

/// Replaces a file of a state directory, which is created again if it was removed meanwhile.
pub(crate) fn replace_in_state_dir(path: &Path, text: &[u8]) -> io::Result<()> {
    make_state_dir_of(path)?;
    replace(path, PRIVATE, |file| file.write_all(text))
}

/// Creates the state directory of a file unless it exists: for this user only, and ignored by git.
/// Its parent must exist: a project that is gone is not created.
pub(crate) fn make_state_dir_of(path: &Path) -> io::Result<()> {
    let Some(dir) = path.parent() else { return Ok(()) };
    match DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => ignore_in_git(dir),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // It may have been replaced by a link.
            let (Some(parent), Some(name)) = (dir.parent(), dir.file_name()) else { return Ok(()) };
            require_own_dirs(parent, [name].into_iter())
                .map_err(|(path, what)| io::Error::other(format!("{} {what}", path.display())))
        }
        Err(error) => Err(error),
    }
}

/// Creates a `.gitignore` that keeps everything in `dir` out of git.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] when there is one.
pub(crate) fn ignore_in_git(dir: &Path) -> io::Result<()> {
    // New, so that nothing is written through a link.
    File::create_new(dir.join(".gitignore"))?.write_all(b"*\n")
}

/// Reads a file of at most `limit` bytes. `None` when there is none.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] when it is not such a file, or `parse` finds nothing in it.
pub(crate) fn read<T>(
    path: &Path,
    limit: u64,
    parse: impl FnOnce(&[u8]) -> Option<T>,
) -> io::Result<Option<T>> {
    let corrupt = || {
        let text = format!("{} is corrupt", path.display());
        io::Error::new(io::ErrorKind::InvalidData, text)
    };
    let file = match open_regular(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Err(corrupt()),
        Err(error) => return Err(error),
    };
    let mut text = Vec::new();
    file.take(limit + 1).read_to_end(&mut text)?;
    let fits = text.len() as u64 <= limit;
    fits.then(|| parse(&text)).flatten().map(Some).ok_or_else(corrupt)
}

/// Renames a corrupt file, so that a new one can be written. Returns what has happened.
pub(crate) fn set_aside(path: &Path) -> Result<String, String> {
    let aside = beside(path, "bad");
    match fs::rename(path, &aside) {
        Ok(()) => Ok(format!(
            "{} was corrupt and has been renamed to {}",
            path.display(),
            aside.display()
        )),
        Err(error) => Err(format!("{} is corrupt and cannot be renamed: {error}", path.display())),
    }
}

fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        replace(&path, PRIVATE, |file| file.write_all(b"one")).unwrap();
        let failed = replace(&path, PRIVATE, |file| {
            file.write_all(b"tw")?;
            Err(io::Error::other("full"))
        });
        assert_eq!(failed.unwrap_err().to_string(), "full");
        let text = |limit| read(&path, limit, |text| Some(text.to_vec()));
        assert_eq!(text(3).unwrap().unwrap(), b"one");
        assert_eq!(text(2).unwrap_err().kind(), io::ErrorKind::InvalidData);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "nothing for others");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no draft is left");
        assert!(replace(&dir.path().join("none/a"), PRIVATE, |_| Ok(())).is_err());
    }

    #[test]
    fn links_stay_and_what_is_no_file_is_written_to() {
        use std::os::unix::fs::symlink;
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("sub")).unwrap();
        symlink("sub/second", at("first")).unwrap();
        symlink("../real", at("sub/second")).unwrap();
        for text in [&b"a longer text"[..], b"short"] {
            WriteTarget::of(&at("first")).unwrap().write(text).unwrap();
            assert_eq!(fs::read(at("real")).unwrap(), text);
        }
        assert!(at("first").is_symlink() && at("sub/second").is_symlink());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3, "no draft is left");

        symlink("loop", at("loop")).unwrap();
        assert!(WriteTarget::of(&at("loop")).unwrap().write(b"").is_err());
        assert!(WriteTarget::of(&at("no/such")).is_err());
        symlink("/dev/null", at("null")).unwrap();
        WriteTarget::of(&at("null")).unwrap().write(b"text").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());

        #[cfg(target_os = "linux")]
        {
            use std::os::fd::AsRawFd;
            let mut open = File::create(at("open")).unwrap();
            open.write_all(b"before ").unwrap();
            let path = format!("/proc/self/fd/{}", open.as_raw_fd());
            WriteTarget::of(Path::new(&path)).unwrap().write(b"after").unwrap();
            assert_eq!(fs::read(at("open")).unwrap(), b"before after");
        }
    }

    #[test]
    fn a_removed_state_directory_is_created_again_and_nothing_above_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".devstack/runs.json");
        replace_in_state_dir(&path, b"one").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"one");
        let ignore = fs::read_to_string(dir.path().join(".devstack/.gitignore")).unwrap();
        assert_eq!(ignore, "*\n");
        let gone = dir.path().join("project/.devstack/runs.json");
        assert!(replace_in_state_dir(&gone, b"one").is_err());
    }

    #[test]
    fn nothing_is_read_or_written_through_a_link_and_a_pipe_does_not_block() {
        let dir = tempfile::tempdir().unwrap();
        let precious = dir.path().join("precious");
        fs::write(&precious, "mine").unwrap();
        let path = dir.path().join("a.json");
        let drafts = fs::read_dir(dir.path()).unwrap().count();
        for number in 0..1000 {
            let draft = beside(&path, &format!("{}-{number}.new", std::process::id()));
            std::os::unix::fs::symlink(&precious, draft).unwrap();
        }
        replace(&path, PRIVATE, |file| file.write_all(b"one")).unwrap();
        assert_eq!(fs::read(&precious).unwrap(), b"mine");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), drafts + 1000, "one was replaced");

        let found = |name: &str| read(&dir.path().join(name), 9, |_| Some(()));
        std::os::unix::fs::symlink(&precious, dir.path().join("link")).unwrap();
        fs::create_dir(dir.path().join("dir")).unwrap();
        assert_eq!(found("absent").unwrap(), None);
        for bad in ["link", "dir"] {
            assert_eq!(found(bad).unwrap_err().kind(), io::ErrorKind::InvalidData, "{bad}");
        }
        #[cfg(target_os = "linux")]
        {
            use rustix::fs::{CWD, FileType, Mode, mknodat};
            let pipe = dir.path().join("pipe");
            mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
            assert_eq!(found("pipe").unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
    }
}
