use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

/// What is in a folder.
pub(super) struct Listing {
    /// Files, and links to whatever.
    pub files: Vec<OsString>,
    /// The links among them.
    pub links: BTreeSet<OsString>,
    pub folders: Vec<OsString>,
}

impl Listing {
    /// What can be read of a folder; `None` when it cannot be opened.
    pub fn of(path: &Path) -> Option<Listing> {
        let mut listing =
            Listing { files: Vec::new(), links: BTreeSet::new(), folders: Vec::new() };
        for entry in fs::read_dir(path).ok()?.flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => listing.folders.push(entry.file_name()),
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
        listing.folders.sort_unstable();
        Some(listing)
    }
}
