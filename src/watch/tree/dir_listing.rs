use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

pub(super) struct DirListing {
    /// Files, and symlinks to anything.
    pub files: Vec<OsString>,
    /// The symlinks among `files`.
    pub links: BTreeSet<OsString>,
    pub dirs: Vec<OsString>,
}

impl DirListing {
    /// Lists a directory, as far as it is readable; `None` when it cannot be opened.
    pub fn of(path: &Path) -> Option<DirListing> {
        let mut listing =
            DirListing { files: Vec::new(), links: BTreeSet::new(), dirs: Vec::new() };
        for entry in fs::read_dir(path).ok()?.flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => listing.dirs.push(entry.file_name()),
                Ok(kind) if kind.is_file() || kind.is_symlink() => {
                    if kind.is_symlink() {
                        listing.links.insert(entry.file_name());
                    }
                    listing.files.push(entry.file_name());
                }
                Ok(_) | Err(_) => {}
            }
        }
        listing.files.sort_unstable();
        listing.dirs.sort_unstable();
        Some(listing)
    }
}
