use std::sync::{Arc, Mutex, OnceLock};

use super::log_file::LogFile;
use super::memory_ring::MemoryRing;
use crate::log::log_size::LogSize;

/// A place with entries of a service. A service log starts with an empty segment; another one
/// follows whenever the place changes: a file is created or full, the disk fails or works again.
pub(crate) struct LogSegment {
    pub kind: SegmentKind,
    /// Set once the segment is complete.
    pub next: OnceLock<NextSegment>,
}

#[derive(Clone)]
pub(crate) struct NextSegment {
    /// Number of entries in the segment; in a file, all from its beginning.
    pub total: u64,
    /// How much the service had printed by its end.
    pub upto: LogSize,
    pub segment: Arc<LogSegment>,
    /// Number of the first entry to read there: earlier ones are already known.
    pub first: u64,
}

pub(crate) enum SegmentKind {
    Disk(Arc<LogFile>),
    Memory(Mutex<MemoryRing>),
}

impl LogSegment {
    pub fn new(kind: SegmentKind) -> Arc<LogSegment> {
        Arc::new(LogSegment { kind, next: OnceLock::new() })
    }

    pub fn memory(ring: MemoryRing) -> Arc<LogSegment> {
        LogSegment::new(SegmentKind::Memory(Mutex::new(ring)))
    }

    /// Creates a segment for a whole file, with its successor.
    pub fn complete(volume: Arc<LogFile>, next: NextSegment) -> Arc<LogSegment> {
        Arc::new(LogSegment { kind: SegmentKind::Disk(volume), next: OnceLock::from(next) })
    }
}

impl Drop for LogSegment {
    /// In a loop: the chain of a reader that slept through many files is too long for recursion.
    fn drop(&mut self) {
        let mut next = self.next.take();
        while let Some(last) = next {
            next = Arc::into_inner(last.segment).and_then(|mut segment| segment.next.take());
        }
    }
}
