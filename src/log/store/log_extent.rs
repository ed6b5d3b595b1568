use std::sync::Arc;

use super::index_entry::IndexEntry;
use super::log_file::LogFile;
use super::log_segment::{LogSegment, NextSegment, SegmentKind};
use crate::log::lock_unpoisoned;
use crate::log::log_size::LogSize;
use bytes::Bytes;

/// State of a service log from which a reader finds its starting point.
pub(crate) struct LogExtent {
    /// Rotated files, oldest first.
    pub kept: Vec<RotatedFile>,
    /// The segment after them.
    pub base: Arc<LogSegment>,
    /// The segment that is written now.
    pub segment: Arc<LogSegment>,
    /// Number of entries in the index of the newest file.
    pub written: u64,
    /// Entries that the index does not have yet.
    pub pending: Vec<IndexEntry>,
    /// Chunks that no file has yet.
    pub unwritten: Vec<(IndexEntry, Bytes)>,
    /// Number of entries in `segment`, with the unwritten ones.
    pub end: u64,
    /// Everything the service has printed.
    pub total: LogSize,
}

#[derive(Clone)]
pub(crate) struct RotatedFile {
    pub volume: Arc<LogFile>,
    /// Number of entries in its index.
    pub written: u64,
}

impl LogExtent {
    /// Returns the files, newest first: their numbers for `segments_from`, their indexed entries,
    /// and how much the service had printed by the end of these.
    pub fn volumes(&self) -> impl Iterator<Item = (usize, &Arc<LogFile>, u64, LogSize)> {
        let newest = match &self.base.kind {
            SegmentKind::Disk(volume) => {
                Some((self.kept.len(), volume, self.written, self.indexed()))
            }
            SegmentKind::Memory(_) => None,
        };
        let kept = self.kept.iter().enumerate().rev();
        let kept = kept.map(|(at, kept)| (at, &kept.volume, kept.written, self.before(at + 1)));
        newest.into_iter().chain(kept)
    }

    /// Returns the segments from this file on, and how much the service had printed before it.
    pub fn segments_from(&self, from: usize) -> (Arc<LogSegment>, LogSize) {
        let kept = self.kept.iter().enumerate().skip(from).rev();
        let chain = kept.fold(self.base.clone(), |segment, (at, kept)| {
            let upto = self.before(at + 1);
            let next = NextSegment { total: kept.written, upto, segment, first: 0 };
            LogSegment::complete(kept.volume.clone(), next)
        });
        (chain, self.before(from))
    }

    /// Returns how much the service had printed before this file.
    fn before(&self, number: usize) -> LogSize {
        match (self.kept.get(number), &self.base.kind) {
            (Some(kept), _) => kept.volume.before,
            (None, SegmentKind::Disk(volume)) => volume.before,
            (None, SegmentKind::Memory(ring)) => lock_unpoisoned(ring).start(),
        }
    }

    /// Returns how much the service had printed by the end of the index.
    fn indexed(&self) -> LogSize {
        match &self.segment.kind {
            SegmentKind::Memory(ring) => lock_unpoisoned(ring).start(),
            SegmentKind::Disk(_) => {
                let mut total = self.total;
                let unwritten = self.unwritten.iter().map(|(batch, _)| batch);
                self.pending.iter().chain(unwritten).for_each(|batch| total -= batch.amount());
                total
            }
        }
    }
}

/// What a service log has at a position.
pub(crate) enum SegmentLookup {
    /// Nothing yet.
    Nothing,
    /// The segment is complete and has no more entries.
    Next(NextSegment),
    /// The index has entries up to this number.
    Indexed(Arc<LogFile>, u64),
    /// Entries that the index does not have yet.
    Pending(Arc<LogFile>, Vec<IndexEntry>),
    /// Entries in memory, after `gone` evicted ones with the total at the end of these.
    Held { gone: u64, upto: LogSize, batches: Vec<(IndexEntry, Bytes)> },
    /// Chunks that are not written yet.
    Unwritten(Vec<(IndexEntry, Bytes)>),
}
