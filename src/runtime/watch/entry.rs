use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::mark::Mark;
use super::route::Route;

/// What a path is, as far as watching cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// Nothing is there, or it may not be looked at.
    Missing,
    /// A folder that is no link.
    Folder,
    /// A regular file.
    File(Mark),
    /// A link. Of one to a file, the file counts; of any other, where it leads.
    Link {
        mark: Mark,
        /// It leads to a folder.
        folder: bool,
    },
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
