use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
#[cfg(test)]
use std::time::Instant;

use super::index_entry::IndexEntry;
use super::log_dir::LogDir;
use super::log_extent::{LogExtent, RotatedFile, SegmentLookup};
use super::log_file::LogFile;
use super::log_segment::{LogSegment, SegmentKind};
use super::retention_limits::RetentionLimits;
use super::service_log_state::ServiceLogState;
use crate::log::capture::RawChunk;
use crate::log::lock_unpoisoned;
use crate::log::log_origin::LogOrigin;
use crate::log::log_size::LogSize;
use crate::log::log_warnings::LogWarnings;
use crate::log::stack_log::StorageCounts;

/// The stored output of one service or of devstack itself: the writing side. `LogCursor` reads it.
pub(crate) struct ServiceLog {
    pub voice: LogOrigin,
    state: Mutex<ServiceLogState>,
}

/// Most unindexed entries. Usually the printer flushes earlier, unless it waits for the terminal.
const MAX_UNINDEXED: usize = 128;

pub(crate) struct ChunkNumber {
    /// Number of its first line.
    pub seq: u64,
    /// Whether the printer gets the chunk and flushes the index later.
    pub printed: bool,
}

/// The newest file of a service of an ended stack.
pub(crate) struct NewestFile {
    pub volume: LogFile,
    /// Number of entries in its index.
    pub written: u64,
    /// Entries after the last indexed one.
    pub rest: Vec<IndexEntry>,
    /// Everything the service printed.
    pub total: LogSize,
}

impl ServiceLog {
    /// Creates a log without files; the first output creates them.
    pub fn new(
        voice: LogOrigin,
        folder: Option<Arc<LogDir>>,
        limits: Arc<RetentionLimits>,
    ) -> ServiceLog {
        ServiceLog { voice, state: Mutex::new(ServiceLogState::new(folder, limits)) }
    }

    /// Creates a log from files that are no longer written: rotated ones in order, and the newest.
    pub fn from_files(
        voice: LogOrigin,
        kept: VecDeque<RotatedFile>,
        newest: NewestFile,
    ) -> ServiceLog {
        let mut state = ServiceLogState::new(None, Arc::default());
        state.kept = kept;
        state.base = LogSegment::new(SegmentKind::Disk(Arc::new(newest.volume)));
        state.segment = state.base.clone();
        (state.written, state.pending) = (newest.written, newest.rest);
        state.total = newest.total;
        ServiceLog { voice, state: Mutex::new(state) }
    }

    /// Stores a chunk. In between, `number` numbers it and passes it to the printer.
    pub fn store(
        &self,
        piece: &RawChunk<'_>,
        notes: &LogWarnings,
        number: impl FnOnce(usize) -> ChunkNumber,
    ) {
        let mut state = lock_unpoisoned(&self.state);
        let len = piece.len() as u64;
        state.counts.taken += len;
        state.run = Some(piece.run);
        let on_disk = state.write(&self.voice, piece, notes);
        let lines = piece.lines();
        let numbered = number(lines);
        let batch = IndexEntry {
            at: piece.at,
            seq: numbered.seq,
            run: piece.run,
            offset: if on_disk { state.end } else { 0 },
            len: u32::try_from(len).expect("a chunk is at most two long lines"),
            lines: u32::try_from(lines).expect("a chunk has no more lines than bytes"),
            stream: piece.stream,
            continues: piece.continues,
            open: piece.open,
            lost: false,
        };
        state.total += batch.amount();
        if on_disk {
            state.end += len;
            state.counts.stored += len;
            state.add_entry(batch);
            if !numbered.printed || state.pending.len() >= MAX_UNINDEXED {
                state.flush(&self.voice, notes);
            }
        } else {
            state.remember(batch, piece.joined());
        }
    }

    /// Writes unindexed entries to the index.
    pub fn flush(&self, notes: &LogWarnings) {
        lock_unpoisoned(&self.state).flush(&self.voice, notes);
    }

    pub fn counts(&self) -> StorageCounts {
        lock_unpoisoned(&self.state).counts
    }

    pub fn total(&self) -> LogSize {
        lock_unpoisoned(&self.state).total
    }

    /// Makes the next write check the files, as happens once a second anyway.
    #[cfg(test)]
    pub fn look_now(&self) {
        lock_unpoisoned(&self.state).look_again = Instant::now();
    }

    #[cfg(test)]
    pub fn fail_once(&self, notes: &LogWarnings) {
        let mut state = lock_unpoisoned(&self.state);
        notes.disk_error("the log of a test", &std::io::ErrorKind::StorageFull.into());
        state.use_memory();
        state.look_again = Instant::now() + super::service_log_state::CHECK_INTERVAL * 1000;
    }

    /// Looks up entries of `segment` from number `at` on; `max` bounds those indexed or in memory.
    pub fn lookup(&self, segment: &Arc<LogSegment>, at: u64, max: u64) -> SegmentLookup {
        let mut state = lock_unpoisoned(&self.state);
        if let Some(next) = segment.next.get()
            && at >= next.total
        {
            return SegmentLookup::Next(next.clone());
        }
        match &segment.kind {
            SegmentKind::Memory(ring) => {
                let ring = lock_unpoisoned(ring);
                let (gone, upto) = ring.evicted();
                let skip = usize::try_from(at.saturating_sub(gone)).unwrap_or(usize::MAX);
                let batches: Vec<_> =
                    ring.batches().skip(skip).take(max as usize).cloned().collect();
                if batches.is_empty() && at >= gone {
                    SegmentLookup::Nothing
                } else {
                    SegmentLookup::Held { gone, upto, batches }
                }
            }
            SegmentKind::Disk(volume) => {
                let indexed = segment.next.get().map_or(state.written, |next| next.total);
                if at < indexed {
                    return SegmentLookup::Indexed(volume.clone(), indexed.min(at + max));
                }
                let skip = usize::try_from(at - indexed).unwrap_or(usize::MAX);
                let batches: Vec<_> = state.pending.iter().skip(skip).copied().collect();
                if batches.is_empty() {
                    return SegmentLookup::Nothing;
                }
                // A reader has seen the last entry, so it must not grow.
                state.sealed = true;
                SegmentLookup::Pending(volume.clone(), batches)
            }
        }
    }

    /// Returns what a reader needs to find its starting point.
    pub fn extent(&self) -> LogExtent {
        let mut state = lock_unpoisoned(&self.state);
        state.sealed = true;
        let end = match &state.segment.kind {
            SegmentKind::Disk(_) => state.written + state.pending.len() as u64,
            SegmentKind::Memory(ring) => lock_unpoisoned(ring).count(),
        };
        LogExtent {
            end,
            kept: state.kept.iter().cloned().collect(),
            base: state.base.clone(),
            segment: state.segment.clone(),
            written: state.written,
            pending: state.pending.clone(),
            total: state.total,
            run: state.run,
        }
    }
}
