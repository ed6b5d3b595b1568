use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::sync::lock_unpoisoned;
use crate::sys::file_clock::{FileTime, file_time_now};
use crate::sys::file_id::FileId;

/// Seconds for what a command prints after its connection is closed.
const LAST_WORDS: i64 = 1;

/// How many closed files are remembered.
const MAX_CLOSED: usize = 64;

/// The files into which devstack and its clients print: what they write is no change. Cheap to
/// clone.
#[derive(Debug, Clone, Default)]
pub struct OutputFiles(Arc<Mutex<BTreeMap<FileId, OutputFile>>>);

/// A claim on output files, as long as something prints into them.
#[derive(Debug, Default)]
pub struct OutputClaim {
    files: OutputFiles,
    ids: Vec<FileId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OutputFile {
    Open {
        claims: usize,
    },
    /// Changes after this time are those of others. The inode may be that of another file by then.
    Closed(FileTime),
}

impl OutputFiles {
    /// Ignores changes of these files until the claim is dropped.
    pub fn claim(&self, ids: Vec<FileId>) -> OutputClaim {
        let mut files = lock_unpoisoned(&self.0);
        for id in &ids {
            let claims = match files.get(id) {
                Some(OutputFile::Open { claims }) => claims + 1,
                Some(OutputFile::Closed(_)) | None => 1,
            };
            files.insert(*id, OutputFile::Open { claims });
        }
        drop(files);
        OutputClaim { files: self.clone(), ids }
    }

    /// Whether the last change of the file at `path` is devstack's own.
    pub(super) fn wrote(&self, path: &Path, id: FileId) -> bool {
        let file = lock_unpoisoned(&self.0).get(&id).copied();
        file.is_some_and(|file| match file {
            OutputFile::Open { .. } => true,
            // Unlike the modification time, it cannot be set to an earlier one.
            OutputFile::Closed(closed) => std::fs::metadata(path)
                .is_ok_and(|meta| is_last_words((meta.ctime(), meta.ctime_nsec()), closed)),
        })
    }

    fn release(&self, ids: &[FileId], now: FileTime) {
        let mut files = lock_unpoisoned(&self.0);
        for id in ids {
            let file = match files.get(id) {
                Some(OutputFile::Open { claims }) if *claims > 1 => {
                    OutputFile::Open { claims: claims - 1 }
                }
                Some(_) | None => OutputFile::Closed(now),
            };
            files.insert(*id, file);
        }
        let closed = |(id, file): (&FileId, &OutputFile)| match file {
            OutputFile::Open { .. } => None,
            OutputFile::Closed(at) => Some((*at, *id)),
        };
        let mut closed: Vec<(FileTime, FileId)> = files.iter().filter_map(closed).collect();
        closed.sort_unstable();
        for (_, oldest) in &closed[..closed.len().saturating_sub(MAX_CLOSED)] {
            files.remove(oldest);
        }
    }
}

/// Whether a file that changed at this time got what a command prints before it exits.
fn is_last_words((seconds, nanoseconds): FileTime, closed: FileTime) -> bool {
    (seconds - LAST_WORDS, nanoseconds) <= closed
}

impl Drop for OutputClaim {
    fn drop(&mut self) {
        self.files.release(&self.ids, file_time_now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(inode: u64) -> FileId {
        FileId { device: 1, inode }
    }

    fn file(files: &OutputFiles, inode: u64) -> Option<OutputFile> {
        lock_unpoisoned(&files.0).get(&id(inode)).copied()
    }

    #[test]
    fn a_file_is_open_as_long_as_one_command_prints_into_it() {
        let files = OutputFiles::default();
        let (one, two) = (files.claim(vec![id(1), id(2)]), files.claim(vec![id(1), id(1)]));
        assert_eq!(file(&files, 1), Some(OutputFile::Open { claims: 3 }));
        drop(two);
        assert_eq!(file(&files, 1), Some(OutputFile::Open { claims: 1 }));
        drop(one);
        let closed = |inode| matches!(file(&files, inode), Some(OutputFile::Closed(_)));
        assert!(closed(1) && closed(2) && !closed(3));
        let _again = files.claim(vec![id(2)]);
        assert_eq!(file(&files, 2), Some(OutputFile::Open { claims: 1 }));
    }

    #[test]
    fn what_others_write_afterwards_counts() {
        assert!(is_last_words((100, 7), (100, 7)) && is_last_words((101, 7), (100, 7)));
        assert!(!is_last_words((101, 8), (100, 7)) && !is_last_words((200, 0), (100, 7)));
        assert!(is_last_words((90, 999), (100, 7)), "not changed since");
    }

    #[test]
    fn a_thousand_commands_leave_little() {
        let files = OutputFiles::default();
        let open = files.claim(vec![id(0)]);
        for number in 1..1000 {
            files.release(&[id(number), id(10_000 + number)], (number as i64, 0));
        }
        assert_eq!(lock_unpoisoned(&files.0).len(), MAX_CLOSED + 1);
        assert!(file(&files, 999).is_some() && file(&files, 900).is_none());
        drop(open);
    }
}
