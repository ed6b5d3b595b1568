use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;
#[cfg(test)]
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::Notify;

use super::index_entry::IndexEntry;
use super::log_chunk::LogChunk;
use super::log_dir::LogDir;
use super::log_extent::{LogExtent, RotatedFile, SegmentLookup};
use super::log_file::LogFile;
use super::log_segment::{LogSegment, SegmentKind};
use super::log_view::LogView;
use super::service_log_state::ServiceLogState;
use super::storage_counts::StorageCounts;
use crate::log::lock_unpoisoned;
use crate::log::log_size::LogSize;
use crate::log::log_source::LogSource;
use crate::log::log_warnings::LogWarnings;
use crate::model::LogRetention;
use crate::model::RunId;

/// The stored output of one service or of devstack itself: the writing side. `LogCursor` reads it.
///
/// A chunk is readable as soon as it is pushed; the writer thread moves it to a file.
pub(crate) struct ServiceLog {
    pub source: LogSource,
    /// Locked by the writer while it reads and writes files. Nothing else may wait for it.
    files: Mutex<ServiceLogState>,
    /// Never locked during I/O.
    view: Mutex<LogView>,
    /// Notified when there is room for more chunks.
    room: Notify,
    /// Notified when a chunk is written.
    written: Condvar,
}

/// Most unindexed entries: of so many the stream is unknown when devstack is killed.
const MAX_UNINDEXED: usize = 128;
/// The bytes of these entries.
pub(crate) const MAX_UNINDEXED_BYTES: u64 = (MAX_UNINDEXED * IndexEntry::JOIN_MAX) as u64;
/// Unwritten bytes beyond which the pipes of a service are not read. Enough for a disk that is busy
/// for a moment; a hundred services on a disk that hangs need at most 100 MiB.
const BUDGET: usize = 1024 * 1024;
/// Unwritten bytes beyond which lines are counted and dropped: what ended runs leave in their pipes
/// is read without waiting, and with a restart policy there can be many of them.
const MAX_UNWRITTEN: usize = 8 * BUDGET;

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
        source: LogSource,
        dir: Option<Arc<LogDir>>,
        limits: Arc<Mutex<LogRetention>>,
    ) -> ServiceLog {
        let files = ServiceLogState::new(dir, limits);
        let view = LogView::new(files.segment.clone());
        ServiceLog {
            source,
            files: Mutex::new(files),
            view: Mutex::new(view),
            room: Notify::new(),
            written: Condvar::new(),
        }
    }

    /// Creates a log from files that are no longer written: rotated ones in order, and the newest.
    pub fn from_files(
        source: LogSource,
        kept: VecDeque<RotatedFile>,
        newest: NewestFile,
    ) -> ServiceLog {
        let log = ServiceLog::new(source, None, Arc::default());
        let newest_file = LogSegment::new(SegmentKind::Disk(Arc::new(newest.volume)));
        let view = LogView {
            kept,
            written: newest.written,
            pending: newest.rest,
            total: newest.total,
            ..LogView::new(newest_file)
        };
        *lock_unpoisoned(&log.view) = view;
        log
    }

    /// Adds a chunk. In between, `number` numbers it and passes it to the printer. Returns whether
    /// the writer must be told of this log.
    pub fn push(
        &self,
        mut batch: IndexEntry,
        bytes: Bytes,
        number: impl FnOnce(&IndexEntry) -> u64,
    ) -> bool {
        let mut view = lock_unpoisoned(&self.view);
        batch.seq = number(&batch);
        view.total += batch.amount();
        view.recent.add(batch.run, &bytes);
        view.unfinished[batch.stream as usize] = None;
        match view.bytes + bytes.len() > MAX_UNWRITTEN {
            false => view.push(batch, bytes),
            true => view.push_lost(batch),
        }
        !std::mem::replace(&mut view.is_queued, true)
    }

    /// Remembers the start of a line, until the next chunk of its stream.
    pub fn set_unfinished(&self, start: IndexEntry, bytes: Bytes) {
        lock_unpoisoned(&self.view).unfinished[start.stream as usize] = Some((start, bytes));
    }

    /// Returns the starts of lines whose end has not come.
    pub fn unfinished(&self) -> Vec<LogChunk> {
        let view = lock_unpoisoned(&self.view);
        let chunk = |(batch, bytes): (IndexEntry, Bytes)| LogChunk {
            source: self.source.clone(),
            batch,
            bytes,
        };
        view.unfinished.iter().flatten().cloned().map(chunk).collect()
    }

    /// Writes the chunks that are there now, and their index. Returns whether there are more.
    pub fn write_queued(&self, notes: &LogWarnings, progressed: impl Fn()) -> bool {
        let mut files = lock_unpoisoned(&self.files);
        let count = lock_unpoisoned(&self.view).unwritten.len();
        for _ in 0..count {
            let Some((_, bytes)) = lock_unpoisoned(&self.view).unwritten.front().cloned() else {
                break;
            };
            let on_disk = files.write(&self.source, &bytes, notes);
            let mut view = lock_unpoisoned(&self.view);
            files.finish_chunk(&mut view, on_disk);
            let unindexed = view.pending.len();
            self.notify_room(&view);
            drop(view);
            self.written.notify_all();
            if unindexed >= MAX_UNINDEXED {
                files.flush(&self.source, notes);
            }
            progressed();
        }
        files.flush(&self.source, notes);
        let mut view = lock_unpoisoned(&self.view);
        files.publish(&mut view);
        view.is_queued = !view.unwritten.is_empty();
        view.is_queued
    }

    /// Counts all unwritten lines as lost, because of an error in devstack. Returns whether this
    /// count can still be written; if not, it is dropped as well.
    pub fn drop_unwritten(&self) -> bool {
        let mut view = lock_unpoisoned(&self.view);
        let all = std::iter::from_fn(|| view.pop()).collect::<Vec<_>>();
        view.is_queued = all.iter().any(|(_, bytes, _)| !bytes.is_empty());
        if view.is_queued {
            all.into_iter().for_each(|(batch, _, _)| view.push_lost(batch));
        }
        self.notify_room(&view);
        view.is_queued
    }

    /// Wakes the captures that wait, at half of the budget to do so rarely.
    fn notify_room(&self, view: &LogView) {
        if view.bytes <= BUDGET / 2 {
            self.room.notify_waiters();
        }
    }

    /// Waits until the line with this number is written, at most for `limit`. Returns whether it is.
    pub fn wait_written(&self, seq: u64, limit: Duration) -> bool {
        let view = lock_unpoisoned(&self.view);
        let missing =
            |view: &mut LogView| view.unwritten.front().is_some_and(|(batch, _)| batch.seq <= seq);
        let waited = self.written.wait_timeout_while(view, limit, missing);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Waits until the writer has caught up enough to take more chunks.
    pub async fn room(&self) {
        loop {
            let notified = self.room.notified();
            if self.has_room() {
                return;
            }
            notified.await;
        }
    }

    pub fn has_room(&self) -> bool {
        lock_unpoisoned(&self.view).bytes < BUDGET
    }

    pub fn counts(&self) -> StorageCounts {
        let view = lock_unpoisoned(&self.view);
        StorageCounts { taken: view.total.bytes, ..view.counts }
    }

    pub fn total(&self) -> LogSize {
        lock_unpoisoned(&self.view).total
    }

    /// Returns the last run that printed something, and its last lines, without reading a file.
    pub fn recent(&self) -> (Option<RunId>, Vec<u8>) {
        let view = lock_unpoisoned(&self.view);
        let unfinished = view.unfinished.iter().flatten();
        let run = unfinished.clone().map(|(start, _)| start.run).max().or(view.recent.run());
        let mut text = match view.recent.run() == run {
            true => view.recent.text().to_vec(),
            false => Vec::new(),
        };
        for (_, bytes) in unfinished {
            text.extend_from_slice(bytes);
            text.push(b'\n');
        }
        (run, text)
    }

    /// Looks up entries of `segment` from number `at` on; `max` bounds those of files and memory.
    pub fn lookup(&self, segment: &Arc<LogSegment>, at: u64, max: u64) -> SegmentLookup {
        lock_unpoisoned(&self.view).lookup(segment, at, max)
    }

    /// Returns what a reader needs to find its starting point.
    pub fn extent(&self) -> LogExtent {
        lock_unpoisoned(&self.view).extent()
    }
}

#[cfg(test)]
impl ServiceLog {
    /// Makes the next write check the files, as happens once a second anyway.
    pub fn look_now(&self) {
        lock_unpoisoned(&self.files).look_again = Instant::now();
    }

    pub fn fail_once(&self, notes: &LogWarnings) {
        let mut files = lock_unpoisoned(&self.files);
        notes.disk_error("the log of a test", &std::io::ErrorKind::StorageFull.into());
        files.use_memory();
        files.look_again = Instant::now() + super::service_log_state::CHECK_INTERVAL * 1000;
        files.publish(&mut lock_unpoisoned(&self.view));
    }

    /// Blocks the writer in this log while the guard lives, as a disk does that hangs.
    pub fn hang_disk(&self) -> impl Sized + '_ {
        lock_unpoisoned(&self.files)
    }

    /// Cost of the chunks that are not written yet.
    pub fn unwritten(&self) -> usize {
        lock_unpoisoned(&self.view).bytes
    }
}
