use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

use crate::regular_file::read_linked;
use crate::sys::file_id::FileId;

/// Size in bytes of the largest file with compared content; hashing this much takes about 0.1 ms.
/// For larger files size, mtime and inode decide.
const MAX_HASHED_FILE: u64 = 1 << 20;

/// The state of a file, to detect later whether it changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    len: u64,
    /// Seconds and nanoseconds since 1970.
    modified: (i64, i64),
    file: FileId,
    /// Content hash; `None` while not computed.
    hash: Option<u64>,
}

impl Fingerprint {
    /// A fingerprint without a content hash.
    pub fn of(meta: &Metadata) -> Fingerprint {
        Fingerprint {
            len: meta.len(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            file: FileId::of_metadata(meta),
            hash: None,
        }
    }

    /// A file that exists but has not been looked at: any later fingerprint is a change.
    pub const UNSEEN: Fingerprint = Fingerprint {
        len: 0,
        modified: (0, 0),
        file: FileId { device: u64::MAX, inode: u64::MAX },
        hash: None,
    };

    /// A fingerprint of something without content of its own.
    pub fn of_text(text: &[u8]) -> Fingerprint {
        Fingerprint {
            len: 0,
            file: FileId { device: 0, inode: 0 },
            hash: Some(xxh3_64(text)),
            ..Fingerprint::UNSEEN
        }
    }

    /// A fingerprint of a symlink: its own `meta` and its target path.
    pub fn of_link(meta: &Metadata, end: &[u8]) -> Fingerprint {
        Fingerprint { len: 0, hash: Some(xxh3_64(end)), ..Fingerprint::of(meta) }
    }

    /// Adds the content hash, if the file is small enough and readable.
    pub fn with_hash(self, path: &Path) -> Fingerprint {
        if self.hash.is_some() || self.len > MAX_HASHED_FILE {
            return self;
        }
        Fingerprint { hash: content(path).map(|bytes| xxh3_64(&bytes)), ..self }
    }

    /// Adds the content hash, provided that the file has not changed since. If it has, its event is
    /// under way and needs the old fingerprint for comparison.
    pub fn with_hash_if_unchanged(self, path: &Path) -> Fingerprint {
        let hashed = self.with_hash(path);
        match std::fs::metadata(path) {
            Ok(meta) if Fingerprint::of(&meta).stat_matches(&self) => hashed,
            Ok(_) | Err(_) => self,
        }
    }

    /// Returns whether size, mtime and inode are equal.
    pub fn stat_matches(&self, other: &Fingerprint) -> bool {
        (self.len, self.modified, self.file) == (other.len, other.modified, other.file)
    }

    /// Returns whether the file changed. The content decides where both hashes are known, because
    /// mtimes are coarse and a save may not change anything; else size, mtime and inode do.
    pub fn differs(&self, before: &Fingerprint) -> bool {
        match (self.hash, before.hash) {
            (Some(now), Some(then)) => now != then || self.len != before.len,
            (Some(_) | None, None) | (None, Some(_)) => !self.stat_matches(before),
        }
    }

    pub fn is_hashed(&self) -> bool {
        self.hash.is_some()
    }

    /// Identifies the file.
    pub fn file(&self) -> FileId {
        self.file
    }

    pub fn len(&self) -> u64 {
        self.len
    }

    /// Modification time: seconds and nanoseconds since 1970.
    pub fn modified(&self) -> (i64, i64) {
        self.modified
    }
}

/// Reads a regular file of at most [`MAX_HASHED_FILE`] bytes. Never blocks on a FIFO that replaced
/// the file.
fn content(path: &Path) -> Option<Vec<u8>> {
    let bytes = read_linked(path, MAX_HASHED_FILE + 1).ok()?;
    (bytes.len() as u64 <= MAX_HASHED_FILE).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn mark(path: &Path) -> Fingerprint {
        Fingerprint::of(&fs::metadata(path).unwrap())
    }

    #[test]
    fn the_bytes_decide_where_they_are_known() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        fs::write(&path, "one").unwrap();
        let before = mark(&path).with_hash(&path);
        let other = dir.path().join("b");
        fs::write(&other, "one").unwrap();
        fs::rename(&other, &path).unwrap();
        assert!(!mark(&path).with_hash(&path).differs(&before), "the same bytes in another inode");
        assert!(
            mark(&path).differs(&mark(&path).with_hash(&path))
                || !before.stat_matches(&mark(&path))
        );
        fs::write(&path, "two").unwrap();
        assert!(mark(&path).with_hash(&path).differs(&before));
    }

    #[test]
    fn a_fifo_is_never_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fifo");
        crate::sys::fifo::make_fifo(&path);
        assert_eq!(content(&path), None);
    }
}
