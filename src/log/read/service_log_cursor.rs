use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::line_filter::LineFilter;
use super::log_cursor::ReadFrom;
use super::tail_walk::TailWalk;
use crate::log::lock_unpoisoned;
use crate::log::log_size::LogSize;
use crate::log::store::{
    IndexEntry, LogChunk, LogExtent, LogFile, LogFilePair, LogSegment, SegmentKind, SegmentLookup,
    ServiceLog,
};

/// A reader's position in one service log.
pub(super) struct ServiceLogCursor {
    service_log: Arc<ServiceLog>,
    segment: Arc<LogSegment>,
    /// Number of the next entry in the segment.
    at: u64,
    /// How much the service had printed before that entry, to compute losses.
    read_size: LogSize,
    /// Entries that were looked up and not returned yet.
    prefetched: VecDeque<(IndexEntry, ChunkSource)>,
    /// What was lost before the next entry and not reported yet.
    lost: LogSize,
    /// The requested start is older than everything stored, and something older was removed.
    is_too_late: bool,
    /// Nothing more was found in this step.
    drained: bool,
    /// Lines before these numbers are skipped, by stream.
    from: [u64; 2],
    wanted: Arc<LineFilter>,
    /// Where to start, until the first step.
    start: Option<(ReadFrom, LogExtent)>,
    /// The file that is read in this step, with its number.
    open: Option<(u64, Arc<LogFilePair>)>,
}

enum ChunkSource {
    Disk(Arc<LogFile>),
    Memory(Bytes),
}

/// Entries looked up at once. A reader of the whole stack holds as many of each service.
const AHEAD: u64 = 64;

impl ServiceLogCursor {
    pub fn new(
        service_log: &Arc<ServiceLog>,
        from: ReadFrom,
        wanted: Arc<LineFilter>,
    ) -> ServiceLogCursor {
        let extent = service_log.extent();
        let (segment, before) = extent.segments_from(0);
        let mut track = ServiceLogCursor {
            service_log: service_log.clone(),
            segment,
            at: 0,
            read_size: before,
            prefetched: VecDeque::new(),
            lost: LogSize::ZERO,
            is_too_late: false,
            drained: false,
            from: [0; 2],
            wanted,
            open: None,
            start: None,
        };
        match from {
            ReadFrom::Last(0) => track.skip_all(&extent),
            ReadFrom::Seq(_) | ReadFrom::Last(_) => track.start = Some((from, extent)),
        }
        track
    }

    /// Finds the starting point, which can need files.
    pub fn seek(&mut self) {
        match self.start.take() {
            None => {}
            Some((ReadFrom::Seq(seq), extent)) => self.seek_seq(seq, &extent),
            Some((ReadFrom::Last(usize::MAX), extent)) if reaches_back(&extent, &self.wanted) => {
                self.lost = self.read_size;
            }
            Some((ReadFrom::Last(usize::MAX), _)) => {}
            Some((ReadFrom::Last(lines), extent)) => self.seek_last(lines as u64, &extent),
        }
    }

    /// Skips indexed entries before `seq`; the remaining lines are skipped while reading.
    fn seek_seq(&mut self, seq: u64, extent: &LogExtent) {
        self.from = [seq; 2];
        for (number, volume, written, _) in extent.volumes() {
            let is_before = |at| {
                let batch = self.batches(volume, at, at + 1).ok().and_then(|mut one| one.pop());
                batch.is_some_and(|batch| batch.seq_end() <= seq)
            };
            let (mut low, mut high) = (0, written);
            while low < high {
                let middle = low + (high - low) / 2;
                if is_before(middle) { low = middle + 1 } else { high = middle }
            }
            (self.segment, self.read_size) = extent.segments_from(number);
            self.at = low;
            if low > 0 {
                return;
            }
        }
        self.is_too_late = self.read_size.lines > 0;
    }

    /// Whether lines after the requested start may have been removed; once.
    pub fn take_too_late(&mut self) -> bool {
        std::mem::take(&mut self.is_too_late)
    }

    /// Walks back from the end until it has found `lines` wanted lines.
    fn seek_last(&mut self, lines: u64, extent: &LogExtent) {
        let wanted = &self.wanted.clone();
        let mut walk = TailWalk::new(lines, wanted);
        let mut done = self.walk_unindexed(&mut walk, extent);
        for (number, volume, written, upto) in extent.volumes() {
            let (mut high, mut passed) = (written, upto);
            while high > 0 && !done {
                let low = high.saturating_sub(AHEAD);
                let batches = self.batches(volume, low, high).unwrap_or_default();
                let bytes = |batch: &IndexEntry| self.bytes(volume, batch);
                done = !batches.iter().rev().all(|batch| walk.back(batch, bytes));
                batches.iter().for_each(|batch| passed -= batch.amount());
                high = low;
            }
            let (segment, before) = extent.segments_from(number);
            (self.segment, self.at) = (segment, high);
            self.read_size = if high == 0 { before } else { passed };
            if done {
                break;
            }
        }
        match walk.finish() {
            Some(from) => self.from = from,
            None => self.skip_all(extent),
        }
    }

    /// Walks back over memory and unindexed entries. Returns whether the walk is complete.
    fn walk_unindexed(&self, walk: &mut TailWalk<'_>, extent: &LogExtent) -> bool {
        let mut unwritten = extent.unwritten.iter().rev();
        if !unwritten.all(|(batch, bytes)| walk.back(batch, |_| Some(bytes.clone()))) {
            return true;
        }
        if let SegmentKind::Memory(ring) = &extent.segment.kind {
            let ring = lock_unpoisoned(ring);
            let mut all = ring.batches().rev();
            if !all.all(|(batch, bytes)| walk.back(batch, |_| Some(bytes.clone()))) {
                return true;
            }
        }
        let SegmentKind::Disk(volume) = &extent.base.kind else { return false };
        let bytes = |batch: &IndexEntry| self.bytes(volume, batch);
        !extent.pending.iter().rev().all(|batch| walk.back(batch, bytes))
    }

    /// Starts at the end: no stored line is wanted.
    fn skip_all(&mut self, extent: &LogExtent) {
        (self.from, self.read_size) = ([0; 2], extent.total);
        (self.segment, self.at) = (extent.segment.clone(), extent.end);
    }

    /// Returns the number of the next line.
    pub fn first(&self) -> Option<u64> {
        self.prefetched.front().map(|(batch, _)| batch.seq)
    }

    /// Looks up entries unless some are left or this step found none. Returns what was lost before.
    pub fn prefetch(&mut self) -> LogSize {
        if self.drained || !self.prefetched.is_empty() {
            return LogSize::ZERO;
        }
        let lost = std::mem::take(&mut self.lost) + self.fetch_entries();
        // Everything the step may return is already stored, so a second look finds nothing new.
        self.drained = self.prefetched.is_empty();
        lost
    }

    /// Ends a step and closes the file: an idle reader must not keep a removed file on disk.
    pub fn end_step(&mut self) {
        (self.drained, self.open) = (false, None);
        if self.prefetched.is_empty() {
            // Nor memory: it may wait for days.
            self.prefetched = VecDeque::new();
        }
    }

    fn fetch_entries(&mut self) -> LogSize {
        let mut lost = LogSize::ZERO;
        while self.prefetched.is_empty() {
            match self.service_log.lookup(&self.segment, self.at, AHEAD) {
                SegmentLookup::Nothing => return lost,
                SegmentLookup::Next(next) => {
                    lost += self.skip_to(next.upto);
                    // Above the total if unindexed entries moved to the next segment.
                    self.at = next.first + self.at.saturating_sub(next.total);
                    self.segment = next.segment;
                }
                SegmentLookup::Indexed(volume, to) => lost += self.look_in_index(&volume, to),
                SegmentLookup::Pending(volume, batches) => self.add(batches, &volume),
                SegmentLookup::Unwritten(batches) => self.add_chunks(batches),
                SegmentLookup::Held { gone, upto, batches } => {
                    if self.at < gone {
                        lost += self.skip_to(upto);
                    }
                    if batches
                        .first()
                        .is_some_and(|(batch, _)| batch.seq <= self.from[0].min(self.from[1]))
                    {
                        // The evicted entries lie before the requested start.
                        lost = LogSize::ZERO;
                    }
                    self.at = self.at.max(gone);
                    self.add_chunks(batches);
                }
            }
        }
        lost
    }

    fn look_in_index(&mut self, volume: &Arc<LogFile>, to: u64) -> LogSize {
        let batches = self.open(volume).and_then(|files| files.batches(self.at, to));
        let batches = batches.unwrap_or_default();
        let short = to - self.at - batches.len() as u64;
        self.add(batches, volume);
        self.at += short;
        match (short, self.segment.next.get()) {
            (0, _) => LogSize::ZERO,
            // The file was removed; how much was lost with it is known at its end.
            (_, Some(next)) => {
                self.at = next.total;
                LogSize::ZERO
            }
            // The index is damaged; how many bytes it covered is unknown.
            (short, None) => {
                let lost = LogSize { lines: short, bytes: 0 };
                self.read_size += lost;
                lost
            }
        }
    }

    fn add(&mut self, batches: Vec<IndexEntry>, volume: &Arc<LogFile>) {
        self.at += batches.len() as u64;
        for batch in batches {
            self.read_size += batch.amount();
            self.prefetched.push_back((batch, ChunkSource::Disk(volume.clone())));
        }
    }

    fn add_chunks(&mut self, chunks: Vec<(IndexEntry, Bytes)>) {
        self.at += chunks.len() as u64;
        for (batch, bytes) in chunks {
            self.read_size += batch.amount();
            self.prefetched.push_back((batch, ChunkSource::Memory(bytes)));
        }
    }

    /// Moves on to this total and returns what was not read before it.
    fn skip_to(&mut self, upto: LogSize) -> LogSize {
        let lost = upto.since(self.read_size);
        self.read_size += lost;
        lost
    }

    /// Takes the next entry: `Ok(None)` if it is not wanted, its size if its bytes are lost.
    pub fn take(&mut self) -> Result<Option<LogChunk>, LogSize> {
        let Some((mut batch, source)) = self.prefetched.pop_front() else { return Ok(None) };
        let from = self.from[batch.stream as usize];
        if batch.seq_end() <= from {
            return Ok(None);
        }
        if batch.lost {
            return Err(batch.amount());
        }
        if !self.wanted.accepts_entry(&batch) {
            return Ok(None);
        }
        let mut bytes = match source {
            ChunkSource::Memory(bytes) => bytes,
            ChunkSource::Disk(volume) => {
                let bytes = self.open(&volume).and_then(|files| files.bytes(&batch));
                bytes.map_err(|_| batch.amount())?
            }
        };
        let skip = from.saturating_sub(batch.seq) as usize;
        if skip > 0 {
            let at =
                memchr::memchr_iter(b'\n', &bytes).nth(skip - 1).map_or(bytes.len(), |at| at + 1);
            bytes = bytes.slice(at..);
            batch.seq += skip as u64;
            batch.lines -= skip as u32;
            batch.continues = false;
        }
        let source = self.service_log.source.clone();
        Ok((!bytes.is_empty()).then_some(LogChunk { source, batch, bytes }))
    }

    fn open(&mut self, volume: &LogFile) -> io::Result<Arc<LogFilePair>> {
        match &self.open {
            Some((number, files)) if *number == volume.number => Ok(files.clone()),
            Some(_) | None => {
                let files = volume.files()?;
                self.open = Some((volume.number, files.clone()));
                Ok(files)
            }
        }
    }

    fn batches(&self, volume: &LogFile, from: u64, to: u64) -> io::Result<Vec<IndexEntry>> {
        volume.files()?.batches(from, to)
    }

    fn bytes(&self, volume: &LogFile, batch: &IndexEntry) -> Option<Bytes> {
        volume.files().and_then(|files| files.bytes(batch)).ok()
    }
}

/// Returns whether a reader of all wanted lines also wants some from before the oldest stored one.
fn reaches_back(extent: &LogExtent, wanted: &LineFilter) -> bool {
    let Some(since) = wanted.since else { return true };
    let oldest = match extent.volumes().last() {
        Some((_, volume, _, _)) => {
            let first = volume.files().and_then(|files| files.batches(0, 1));
            first.ok().and_then(|mut first| first.pop())
        }
        None => None,
    };
    oldest.is_none_or(|oldest| oldest.at >= since)
}
