use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::mark::Mark;

/// What a path is, as far as watching cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// Nothing is there, or it may not be looked at.
    Missing,
    /// A folder that is no link.
    Folder,
    /// A regular file or a link. Of a link to a file, the file counts; of any other link, where it points
    /// to. Links to folders are not entered: they are how loops are made.
    File(Mark),
    /// A socket, a fifo, a device: never opened.
    Special,
}

impl Entry {
    /// Looks, without opening anything.
    pub fn at(path: &Path) -> Entry {
        let Ok(meta) = fs::symlink_metadata(path) else { return Entry::Missing };
        let kind = meta.file_type();
        if kind.is_dir() {
            Entry::Folder
        } else if kind.is_file() {
            Entry::File(Mark::of(&meta))
        } else if kind.is_symlink() {
            Entry::of_link(path)
        } else {
            Entry::Special
        }
    }

    fn of_link(path: &Path) -> Entry {
        match fs::metadata(path) {
            Ok(meta) if meta.is_file() => Entry::File(Mark::of(&meta)),
            Ok(_) | Err(_) => match fs::read_link(path) {
                Ok(target) => Entry::File(Mark::of_text(target.as_os_str().as_bytes())),
                Err(_) => Entry::Missing,
            },
        }
    }
}
