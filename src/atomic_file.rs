//! Files that are replaced as a whole, so that no reader ever sees half of one.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Replaces a file: `fill` writes a draft beside it, which then takes its place.
pub(crate) fn replace(
    path: &Path,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    static DRAFTS: AtomicU32 = AtomicU32::new(0);
    // Several processes may write at once, so each has its own drafts.
    let number = DRAFTS.fetch_add(1, Ordering::Relaxed);
    let config = beside(path, &format!("{}-{number}.new", std::process::id()));
    let filled = File::create(&config).and_then(|mut file| fill(&mut file));
    let written = filled.and_then(|()| fs::rename(&config, path));
    if written.is_err() {
        // It may not exist, or stay.
        let _ = fs::remove_file(&config);
    }
    written
}

/// Reads a file up to the first byte beyond `limit`, which shows that it is too large.
pub(crate) fn read_limited(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(limit + 1).read_to_end(&mut text)?;
    Ok(text)
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
    use std::io::Write;

    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        replace(&path, |file| file.write_all(b"one")).unwrap();
        let failed = replace(&path, |file| {
            file.write_all(b"tw")?;
            Err(io::Error::other("full"))
        });
        assert_eq!(failed.unwrap_err().to_string(), "full");
        assert_eq!(read_limited(&path, 10).unwrap(), b"one");
        assert_eq!(read_limited(&path, 1).unwrap(), b"on");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no draft is left");
        assert!(replace(&dir.path().join("none/a"), |_| Ok(())).is_err());
    }
}
