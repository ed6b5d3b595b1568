use std::collections::VecDeque;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::index_entry::IndexEntry;
use super::log_dir::LogDir;
use super::log_extent::RotatedFile;
use super::log_file;
use super::log_file::{LogFile, LogFilePair};
use super::log_segment::{LogSegment, NextSegment, SegmentKind};
use super::log_view::LogView;
use super::memory_ring::MemoryRing;
use super::storage_counts::StorageCounts;
use crate::log::lock_unpoisoned;
use crate::log::log_size::LogSize;
use crate::log::log_source::LogSource;
use crate::log::log_warnings::LogWarnings;
use crate::model::LogRetention;

/// Files, segments and counters of a service log, for the writer. A [`LogView`] is what readers see
/// of it: nothing but the writer waits while a file is written.
pub(super) struct ServiceLogState {
    /// Where files are created; `None`: memory only.
    pub dir: Option<Arc<LogDir>>,
    /// Shared by all service logs, so that edits apply at once.
    pub limits: Arc<Mutex<LogRetention>>,
    /// Rotated files, oldest first.
    pub kept: VecDeque<RotatedFile>,
    /// The segment after them: the current file, or memory if there is none.
    pub base: Arc<LogSegment>,
    /// Where entries go: `base` or a segment after it.
    pub segment: Arc<LogSegment>,
    /// End of the stored bytes in the log file.
    pub end: u64,
    /// Number of entries in the index.
    pub written: u64,
    /// Entries whose bytes are in the log file, but which the index does not have yet.
    pub pending: Vec<IndexEntry>,
    /// When to check the files, or try the disk, again.
    pub look_again: Instant,
    pub counts: StorageCounts,
    /// Everything that came in, without the chunk being stored and those after it.
    pub total: LogSize,
    /// Segments that were completed, and what follows each, until readers see it.
    completed: Vec<(Arc<LogSegment>, NextSegment)>,
    /// Number of the newest file.
    number: u64,
    /// Earlier memory segments that slow readers still hold.
    rings: VecDeque<Weak<LogSegment>>,
}

/// How often to check whether the files still exist, or whether the disk works again.
pub(super) const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// How many memory segments slow readers can hold before the oldest is emptied.
const MAX_OLD_RINGS: usize = 32;

impl ServiceLogState {
    pub fn new(dir: Option<Arc<LogDir>>, limits: Arc<Mutex<LogRetention>>) -> ServiceLogState {
        let start = LogSegment::memory(MemoryRing::default());
        ServiceLogState {
            dir,
            limits,
            kept: VecDeque::new(),
            base: start.clone(),
            segment: start,
            end: 0,
            written: 0,
            pending: Vec::new(),
            look_again: Instant::now(),
            counts: StorageCounts::default(),
            total: LogSize::ZERO,
            completed: Vec::new(),
            number: 0,
            rings: VecDeque::new(),
        }
    }

    /// Appends a chunk to the log file. Returns `false` if it must be kept in memory.
    pub fn write(&mut self, source: &LogSource, bytes: &[u8], notes: &LogWarnings) -> bool {
        let now = Instant::now();
        if now >= self.look_again {
            self.look_again = now + CHECK_INTERVAL;
            if let Err(error) = self.check_files(source) {
                notes.disk_error(&format!("the log of {source}"), &error);
            }
        }
        if self.is_full(bytes.len() as u64)
            && let Err(error) = self.rotate(source)
        {
            notes.disk_error(&format!("the log of {source}"), &error);
            self.use_memory();
            self.look_again = now + CHECK_INTERVAL;
        }
        let SegmentKind::Disk(volume) = &self.segment.kind else { return false };
        match volume.files().and_then(|files| append(&files, bytes)) {
            Ok(()) => true,
            Err(error) => {
                notes.disk_error(&format!("the log of {source}"), &error);
                self.use_memory();
                false
            }
        }
    }

    /// Returns whether `len` more bytes do not fit into the current file. An empty one takes any.
    fn is_full(&self, len: u64) -> bool {
        let index = LogFilePair::entry_offset(self.written + self.pending.len() as u64);
        let on_disk = matches!(self.segment.kind, SegmentKind::Disk(_)) || len == 0;
        on_disk && self.end > 0 && self.end + index + len > lock_unpoisoned(&self.limits).max_size
    }

    fn rotate(&mut self, source: &LogSource) -> io::Result<()> {
        let Some(dir) = self.dir.clone() else { return Ok(()) };
        self.index_pending()?;
        self.use_memory();
        self.rotate_out(source, &dir)?;
        self.begin(source, &dir)
    }

    /// Checks that the log files still exist under their names, and resumes or replaces them.
    fn check_files(&mut self, source: &LogSource) -> io::Result<()> {
        let Some(dir) = self.dir.clone() else { return Ok(()) };
        let known = match &self.base.kind {
            SegmentKind::Disk(volume) => volume.files().ok().map(|files| (volume.clone(), files)),
            SegmentKind::Memory(_) => None,
        };
        let [log, index] = log_file::current(source);
        let there = known.filter(|(_, files)| {
            dir.is_same_file(&log, &files.log, self.end)
                && dir.is_same_file(&index, &files.index, LogFilePair::entry_offset(self.written))
        });
        match (there, &self.segment.kind) {
            (Some(_), SegmentKind::Disk(_)) => Ok(()),
            (Some(_), SegmentKind::Memory(_)) if self.is_full(0) => {
                self.rotate_out(source, &dir)?;
                self.begin(source, &dir)
            }
            (Some((volume, _)), SegmentKind::Memory(_)) => {
                self.use_disk(volume, self.end, self.written)
            }
            (None, SegmentKind::Disk(_) | SegmentKind::Memory(_)) => {
                // Slow readers need the old index. If that fails, the entries move to memory.
                let _ = self.index_pending();
                self.use_memory();
                // If the files were deleted to free space, that happens only once they are closed.
                self.forget_file();
                self.begin(source, &dir)
            }
        }
    }

    /// Rotates the current file out and removes the oldest files beyond the limit.
    fn rotate_out(&mut self, source: &LogSource, dir: &Arc<LogDir>) -> io::Result<()> {
        let SegmentKind::Disk(volume) = &self.base.kind else { return Ok(()) };
        volume.rotate_out(dir, source)?;
        self.kept.push_back(RotatedFile { volume: volume.clone(), written: self.written });
        while self.kept.len() > lock_unpoisoned(&self.limits).keep as usize {
            let Some(oldest) = self.kept.pop_front() else { break };
            dir.remove(oldest.volume.remove(source));
        }
        self.forget_file();
        Ok(())
    }

    /// Forgets the current file: everything is in memory from here on.
    fn forget_file(&mut self) {
        (self.base, self.end, self.written) = (self.segment.clone(), 0, 0);
    }

    /// Creates new files and continues there.
    fn begin(&mut self, source: &LogSource, dir: &LogDir) -> io::Result<()> {
        let held = match &self.segment.kind {
            SegmentKind::Memory(ring) => lock_unpoisoned(ring).size(),
            SegmentKind::Disk(_) => LogSize::ZERO,
        };
        let volume = LogFile::create(dir, source, self.number + 1, self.total.since(held))?;
        self.number += 1;
        self.use_disk(Arc::new(volume), 0, 0)
    }

    /// Switches to a file with `end` bytes and `written` entries; entries in memory go there first.
    fn use_disk(&mut self, volume: Arc<LogFile>, mut end: u64, mut written: u64) -> io::Result<()> {
        let files = volume.files()?;
        (&files.log).seek(SeekFrom::Start(end))?;
        let resumed =
            matches!(&self.base.kind, SegmentKind::Disk(base) if Arc::ptr_eq(base, &volume));
        let mut total = self.written;
        if let SegmentKind::Memory(ring) = &self.segment.kind {
            // A copy: readers must not wait until it is written.
            let ring = lock_unpoisoned(ring).clone();
            // New files record in their header how much came before them.
            let gap = if resumed { ring.gap() } else { Vec::new() };
            let mut index: Vec<u8> =
                gap.iter().flat_map(|gap| IndexEntry { offset: end, ..*gap }.encode()).collect();
            let start = end;
            for (batch, bytes) in ring.batches() {
                append(&files, bytes)?;
                index.extend(IndexEntry { offset: end, ..*batch }.encode());
                end += bytes.len() as u64;
                self.counts.dropped += if batch.lost { batch.len.into() } else { 0 };
            }
            files.index.write_all_at(&index, LogFilePair::entry_offset(written))?;
            written += (index.len() / IndexEntry::SIZE) as u64;
            self.counts.stored += end - start;
            total = ring.count();
        }
        if total > 0 {
            self.remember_ring();
        }
        let next = LogSegment::new(SegmentKind::Disk(volume));
        self.start_segment(total, self.total, next.clone(), written);
        (self.base, self.end, self.written) = (next, end, written);
        Ok(())
    }

    /// Bounds the memory that slow readers hold.
    fn remember_ring(&mut self) {
        self.rings.retain(|ring| ring.strong_count() > 0);
        self.rings.push_back(Arc::downgrade(&self.segment));
        if self.rings.len() <= MAX_OLD_RINGS {
            return;
        }
        let oldest = self.rings.pop_front().and_then(|ring| ring.upgrade());
        if let Some(SegmentKind::Memory(ring)) = oldest.as_deref().map(|segment| &segment.kind) {
            lock_unpoisoned(ring).clear();
        }
    }

    /// Keeps entries in memory from now on, including the unindexed ones.
    pub fn use_memory(&mut self) {
        let SegmentKind::Disk(volume) = &self.segment.kind else { return };
        let files = volume.files();
        let mut start = self.total;
        self.pending.iter().for_each(|batch| start -= batch.amount());
        let mut ring = MemoryRing::after(start);
        for batch in std::mem::take(&mut self.pending) {
            self.end = self.end.min(batch.offset);
            if batch.lost {
                self.counts.dropped -= u64::from(batch.len);
                self.counts.dropped += ring.push(batch, Bytes::new());
                continue;
            }
            self.counts.stored -= u64::from(batch.len);
            self.counts.dropped += match files.as_ref().map(|files| files.bytes(&batch)) {
                Ok(Ok(bytes)) => ring.push(batch, bytes),
                Ok(Err(_)) | Err(_) => ring.count_lost(batch),
            };
        }
        self.start_segment(self.written, start, LogSegment::memory(ring), 0);
    }

    /// Ends the current segment with `total` entries. The next one is read from entry `first` on.
    fn start_segment(&mut self, total: u64, upto: LogSize, segment: Arc<LogSegment>, first: u64) {
        let last = std::mem::replace(&mut self.segment, segment.clone());
        self.completed.push((last, NextSegment { total, upto, segment, first }));
    }

    /// Moves the first unwritten chunk to where [`ServiceLogState::write`] has put its bytes.
    pub fn finish_chunk(&mut self, view: &mut LogView, on_disk: bool) {
        let Some((mut batch, bytes, seen)) = view.pop() else { return };
        let len = bytes.len() as u64;
        self.total += batch.amount();
        match &self.segment.kind {
            SegmentKind::Disk(_) if on_disk => {
                batch.offset = self.end;
                self.end += len;
                self.counts.stored += len;
                self.counts.dropped += if batch.lost { batch.len.into() } else { 0 };
                self.add_entry(batch, view.sealed || seen);
                view.sealed = seen;
            }
            SegmentKind::Memory(ring) => {
                self.counts.dropped += lock_unpoisoned(ring).push(batch, bytes)
            }
            SegmentKind::Disk(_) => self.counts.dropped += len,
        }
        self.publish(view);
    }

    /// Adds an entry for stored bytes, joined to the last one if possible.
    fn add_entry(&mut self, batch: IndexEntry, sealed: bool) {
        let joined = !sealed && self.pending.last_mut().is_some_and(|last| last.join(&batch));
        if !joined {
            self.pending.push(batch);
        }
    }

    /// Shows readers where everything is now.
    pub fn publish(&mut self, view: &mut LogView) {
        for (segment, next) in self.completed.drain(..) {
            let first_time = segment.next.set(next).is_ok();
            debug_assert!(first_time, "the segment already has a successor");
        }
        view.kept.clone_from(&self.kept);
        (view.base, view.segment) = (self.base.clone(), self.segment.clone());
        view.written = self.written;
        view.pending.clone_from(&self.pending);
        view.counts = self.counts;
    }

    /// Writes unindexed entries to the index, or moves them to memory if that fails.
    pub fn flush(&mut self, source: &LogSource, notes: &LogWarnings) {
        if let Err(error) = self.index_pending() {
            notes.disk_error(&format!("the log of {source}"), &error);
            self.use_memory();
        }
    }

    fn index_pending(&mut self) -> io::Result<()> {
        let SegmentKind::Disk(volume) = &self.segment.kind else { return Ok(()) };
        if self.pending.is_empty() {
            return Ok(());
        }
        let bytes: Vec<u8> = self.pending.iter().flat_map(IndexEntry::encode).collect();
        volume.files()?.index.write_all_at(&bytes, LogFilePair::entry_offset(self.written))?;
        self.written += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }
}

/// Appends to the log file. After an error `use_disk` must set its position again.
fn append(files: &LogFilePair, bytes: &[u8]) -> io::Result<()> {
    (&files.log).write_all(bytes)
}
