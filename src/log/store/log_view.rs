use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::index_entry::IndexEntry;
use super::log_extent::{LogExtent, RotatedFile, SegmentLookup};
use super::log_segment::{LogSegment, SegmentKind};
use super::recent_lines::RecentLines;
use super::storage_counts::StorageCounts;
use crate::log::lock_unpoisoned;
use crate::log::log_size::LogSize;

/// What readers see of a service log: where its entries are, and chunks that are not written yet.
pub(super) struct LogView {
    /// Rotated files, oldest first.
    pub kept: VecDeque<RotatedFile>,
    /// The segment after them: the current file, or memory if there is none.
    pub base: Arc<LogSegment>,
    /// Where entries go: `base` or a segment after it.
    pub segment: Arc<LogSegment>,
    /// Number of entries in the index.
    pub written: u64,
    /// Entries whose bytes are in the log file, but which the index does not have yet.
    pub pending: Vec<IndexEntry>,
    /// Chunks that follow them, for the writer.
    pub unwritten: VecDeque<(IndexEntry, Bytes)>,
    /// Cost of the unwritten chunks.
    pub bytes: usize,
    /// How many of the unwritten chunks a reader has seen: their entries must not be joined.
    pub seen: usize,
    /// A reader has seen the last unindexed entry: it must not grow.
    pub sealed: bool,
    /// The writer knows of the unwritten chunks.
    pub is_queued: bool,
    /// Everything that came in.
    pub total: LogSize,
    pub recent: RecentLines,
    /// Starts of lines whose end has not come, by stream.
    pub unfinished: [Option<(IndexEntry, Bytes)>; 2],
    pub counts: StorageCounts,
}

impl LogView {
    /// Cost of a chunk besides its bytes.
    const CHUNK_COST: usize = 192;

    pub fn new(start: Arc<LogSegment>) -> LogView {
        LogView {
            kept: VecDeque::new(),
            base: start.clone(),
            segment: start,
            written: 0,
            pending: Vec::new(),
            unwritten: VecDeque::new(),
            bytes: 0,
            seen: 0,
            sealed: false,
            is_queued: false,
            total: LogSize::ZERO,
            recent: RecentLines::default(),
            unfinished: [None, None],
            counts: StorageCounts::default(),
        }
    }

    pub fn push(&mut self, batch: IndexEntry, bytes: Bytes) {
        self.bytes += bytes.len() + Self::CHUNK_COST;
        self.unwritten.push_back((batch, bytes));
    }

    /// Adds an entry that stands for lost lines. Several become one.
    pub fn push_lost(&mut self, batch: IndexEntry) {
        let lost = IndexEntry { lost: true, open: false, more: false, ..batch };
        let seen = self.seen >= self.unwritten.len();
        let last = self.unwritten.back_mut().filter(|_| !seen);
        if !last.is_some_and(|(last, _)| last.join_lost(&lost)) {
            self.push(lost, Bytes::new());
        }
    }

    /// Takes the first unwritten chunk, and whether a reader has seen its entry.
    pub fn pop(&mut self) -> Option<(IndexEntry, Bytes, bool)> {
        let (batch, bytes) = self.unwritten.pop_front()?;
        self.bytes -= bytes.len() + Self::CHUNK_COST;
        if self.unwritten.is_empty() {
            self.unwritten = VecDeque::new();
        }
        let seen = self.seen > 0;
        self.seen = self.seen.saturating_sub(1);
        Some((batch, bytes, seen))
    }

    /// Looks up entries of `segment` from number `at` on; `max` bounds those of files and memory.
    pub fn lookup(&mut self, segment: &Arc<LogSegment>, at: u64, max: u64) -> SegmentLookup {
        let next = segment.next.get();
        if let Some(next) = next
            && at >= next.total
        {
            return SegmentLookup::Next(next.clone());
        }
        let end = match &segment.kind {
            SegmentKind::Memory(ring) => {
                let ring = lock_unpoisoned(ring);
                let (gone, upto) = ring.evicted();
                let skip = usize::try_from(at.saturating_sub(gone)).unwrap_or(usize::MAX);
                let batches: Vec<_> =
                    ring.batches().skip(skip).take(max as usize).cloned().collect();
                if !batches.is_empty() || at < gone {
                    return SegmentLookup::Held { gone, upto, batches };
                }
                ring.count()
            }
            SegmentKind::Disk(volume) => {
                let indexed = next.map_or(self.written, |next| next.total);
                if at < indexed {
                    return SegmentLookup::Indexed(volume.clone(), indexed.min(at + max));
                }
                let skip = usize::try_from(at - indexed).unwrap_or(usize::MAX);
                let batches: Vec<_> = self.pending.iter().skip(skip).copied().collect();
                if !batches.is_empty() {
                    // A reader has seen the last entry, so it must not grow.
                    self.sealed = true;
                    return SegmentLookup::Pending(volume.clone(), batches);
                }
                indexed + self.pending.len() as u64
            }
        };
        let skip = usize::try_from(at.saturating_sub(end)).unwrap_or(usize::MAX);
        let batches: Vec<_> =
            self.unwritten.iter().skip(skip).take(max as usize).cloned().collect();
        if batches.is_empty() {
            return SegmentLookup::Nothing;
        }
        (self.sealed, self.seen) = (true, self.seen.max(skip + batches.len()));
        SegmentLookup::Unwritten(batches)
    }

    /// Returns what a reader needs to find its starting point.
    pub fn extent(&mut self) -> LogExtent {
        (self.sealed, self.seen) = (true, self.unwritten.len());
        let stored = match &self.segment.kind {
            SegmentKind::Disk(_) => self.written + self.pending.len() as u64,
            SegmentKind::Memory(ring) => lock_unpoisoned(ring).count(),
        };
        LogExtent {
            end: stored + self.unwritten.len() as u64,
            kept: self.kept.iter().cloned().collect(),
            base: self.base.clone(),
            segment: self.segment.clone(),
            written: self.written,
            pending: self.pending.clone(),
            unwritten: self.unwritten.iter().cloned().collect(),
            total: self.total,
        }
    }
}
