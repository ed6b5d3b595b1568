use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::mark::Mark;
use super::route::Route;

/// What a path is, as far as watching is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// Nonexistent or inaccessible.
    Missing,
    /// A directory that is not a symlink.
    Folder,
    File(Mark),
    /// A symlink. Its fingerprint is that of the target file; otherwise that of the target path.
    Link {
        mark: Mark,
        /// The target is a directory.
        folder: bool,
    },
    /// A socket, FIFO or device: never opened.
    Special,
}

impl Entry {
    /// Stats a path without opening anything.
    pub fn at(path: &Path) -> Entry {
        let Ok(meta) = fs::symlink_metadata(path) else { return Entry::Missing };
        let kind = meta.file_type();
        if kind.is_dir() {
            Entry::Folder
        } else if kind.is_file() {
            Entry::File(Mark::of(&meta))
        } else if kind.is_symlink() {
            Entry::of_link(path, &meta)
        } else {
            Entry::Special
        }
    }

    fn of_link(path: &Path, link: &fs::Metadata) -> Entry {
        let meta = fs::metadata(path);
        if let Ok(meta) = &meta
            && meta.is_file()
        {
            return Entry::Link { mark: Mark::of(meta), folder: false };
        }
        let folder = meta.is_ok_and(|meta| meta.is_dir());
        let mut end = Route::of(path).end.into_os_string();
        if folder {
            end.push("/");
        }
        Entry::Link { mark: Mark::of_link(link, end.as_bytes()), folder }
    }
}
