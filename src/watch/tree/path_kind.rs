use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::fingerprint::Fingerprint;
use super::resolved_path::ResolvedPath;

/// What a path is, as far as watching is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PathKind {
    /// Nonexistent or inaccessible.
    Missing,
    /// A directory that is not a symlink.
    Dir,
    File(Fingerprint),
    /// A symlink. Its fingerprint is that of the target file; otherwise that of the target path.
    Link {
        mark: Fingerprint,
        /// The target is a directory.
        dir: bool,
    },
    /// A socket, FIFO or device: never opened.
    Special,
    /// Output of devstack, whose changes never count.
    Output,
}

impl PathKind {
    /// Stats a path without opening anything.
    pub fn at(path: &Path) -> PathKind {
        let Ok(meta) = fs::symlink_metadata(path) else { return PathKind::Missing };
        let kind = meta.file_type();
        if kind.is_dir() {
            PathKind::Dir
        } else if kind.is_file() {
            PathKind::File(Fingerprint::of(&meta))
        } else if kind.is_symlink() {
            PathKind::of_link(path, &meta)
        } else {
            PathKind::Special
        }
    }

    fn of_link(path: &Path, link: &fs::Metadata) -> PathKind {
        let meta = fs::metadata(path);
        if let Ok(meta) = &meta
            && meta.is_file()
        {
            return PathKind::Link { mark: Fingerprint::of(meta), dir: false };
        }
        let dir = meta.is_ok_and(|meta| meta.is_dir());
        let mut end = ResolvedPath::of(path).end.into_os_string();
        if dir {
            end.push("/");
        }
        PathKind::Link { mark: Fingerprint::of_link(link, end.as_bytes()), dir }
    }
}
