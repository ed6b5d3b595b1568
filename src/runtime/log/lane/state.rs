use std::collections::VecDeque;
use std::io::{self, IoSlice, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::super::amount::Amount;
use super::super::batch::Batch;
use super::super::extent::Kept;
use super::super::folder::Folder;
use super::super::limits::Limits;
use super::super::lock;
use super::super::logs::Counts;
use super::super::notes::Notes;
use super::super::piece::Piece;
use super::super::ring::Ring;
use super::super::segment::{Kind, Next, Segment};
use super::super::voice::Voice;
use super::super::volume::{self, Files, Volume};
use crate::model::RunId;

/// Files, segments and counters of a service log.
pub(super) struct State {
    /// Where files are created; `None`: memory only.
    pub folder: Option<Arc<Folder>>,
    pub limits: Arc<Limits>,
    /// Rotated files, oldest first.
    pub kept: VecDeque<Kept>,
    /// The segment after them: the current file, or memory if there is none.
    pub base: Arc<Segment>,
    /// Where entries go: `base` or a segment after it.
    pub segment: Arc<Segment>,
    /// End of the stored bytes in the log file.
    pub end: u64,
    /// Number of entries in the index.
    pub written: u64,
    /// Entries whose bytes are in the log file, but which the index does not have yet.
    pub pending: Vec<Batch>,
    /// A reader has seen the last unindexed entry: it must not grow.
    pub sealed: bool,
    /// When to check the files, or try the disk, again.
    pub look_again: Instant,
    pub counts: Counts,
    /// Everything that came in, except for the chunk being stored.
    pub total: Amount,
    pub run: Option<RunId>,
    /// Number of the newest file.
    number: u64,
    /// Earlier memory segments that slow readers still hold.
    rings: VecDeque<Weak<Segment>>,
}

/// How often to check whether the files still exist, or whether the disk works again.
pub(super) const LOOK: Duration = Duration::from_secs(1);
/// How many memory segments slow readers can hold before the oldest is emptied.
const RINGS_MAX: usize = 32;

impl State {
    pub fn new(folder: Option<Arc<Folder>>, limits: Arc<Limits>) -> State {
        let start = Segment::memory(Ring::default());
        State {
            folder,
            limits,
            kept: VecDeque::new(),
            base: start.clone(),
            segment: start,
            end: 0,
            written: 0,
            pending: Vec::new(),
            sealed: false,
            look_again: Instant::now(),
            counts: Counts::default(),
            total: Amount::ZERO,
            run: None,
            number: 0,
            rings: VecDeque::new(),
        }
    }

    /// Appends a chunk to the log file. Returns `false` if it must be kept in memory.
    pub fn write(&mut self, voice: &Voice, piece: &Piece<'_>, notes: &Notes) -> bool {
        let now = Instant::now();
        if now >= self.look_again {
            self.look_again = now + LOOK;
            if let Err(error) = self.look(voice) {
                notes.disk(&format!("the log of {voice}"), &error);
            }
        }
        if self.is_full(piece.len() as u64)
            && let Err(error) = self.rotate(voice)
        {
            notes.disk(&format!("the log of {voice}"), &error);
            self.use_memory();
            self.look_again = now + LOOK;
        }
        let Kind::Disk(volume) = &self.segment.kind else { return false };
        match volume.files().and_then(|files| append(&files, piece.parts)) {
            Ok(()) => true,
            Err(error) => {
                notes.disk(&format!("the log of {voice}"), &error);
                self.use_memory();
                false
            }
        }
    }

    /// Returns whether `len` more bytes do not fit into the current file. An empty one takes any.
    fn is_full(&self, len: u64) -> bool {
        let index = Files::place(self.written + self.pending.len() as u64);
        let on_disk = matches!(self.segment.kind, Kind::Disk(_)) || len == 0;
        on_disk && self.end > 0 && self.end + index + len > self.limits.max_size()
    }

    fn rotate(&mut self, voice: &Voice) -> io::Result<()> {
        let Some(folder) = self.folder.clone() else { return Ok(()) };
        self.index_pending()?;
        self.use_memory();
        self.put_away(voice, &folder)?;
        self.begin(voice, &folder)
    }

    /// Checks that the log files still exist under their names, and resumes or replaces them.
    fn look(&mut self, voice: &Voice) -> io::Result<()> {
        let Some(folder) = self.folder.clone() else { return Ok(()) };
        let known = match &self.base.kind {
            Kind::Disk(volume) => volume.files().ok().map(|files| (volume.clone(), files)),
            Kind::Memory(_) => None,
        };
        let [log, index] = volume::current(voice);
        let there = known.filter(|(_, files)| {
            folder.holds(&log, &files.log, self.end)
                && folder.holds(&index, &files.index, Files::place(self.written))
        });
        match (there, &self.segment.kind) {
            (Some(_), Kind::Disk(_)) => Ok(()),
            (Some(_), Kind::Memory(_)) if self.is_full(0) => {
                self.put_away(voice, &folder)?;
                self.begin(voice, &folder)
            }
            (Some((volume, _)), Kind::Memory(_)) => self.use_disk(volume, self.end, self.written),
            (None, Kind::Disk(_) | Kind::Memory(_)) => {
                // Slow readers need the old index. If that fails, the entries move to memory.
                let _ = self.index_pending();
                self.use_memory();
                // If the files were deleted to free space, that happens only once they are closed.
                self.let_go();
                self.begin(voice, &folder)
            }
        }
    }

    /// Rotates the current file out and removes the oldest files beyond the limit.
    fn put_away(&mut self, voice: &Voice, folder: &Arc<Folder>) -> io::Result<()> {
        let Kind::Disk(volume) = &self.base.kind else { return Ok(()) };
        volume.put_away(folder, voice)?;
        self.kept.push_back(Kept { volume: volume.clone(), written: self.written });
        while self.kept.len() > self.limits.keep() {
            let Some(oldest) = self.kept.pop_front() else { break };
            folder.remove(oldest.volume.discard(voice));
        }
        self.let_go();
        Ok(())
    }

    /// Forgets the current file: everything is in memory from here on.
    fn let_go(&mut self) {
        (self.base, self.end, self.written) = (self.segment.clone(), 0, 0);
    }

    /// Creates new files and continues there.
    fn begin(&mut self, voice: &Voice, folder: &Folder) -> io::Result<()> {
        let held = match &self.segment.kind {
            Kind::Memory(ring) => lock(ring).held(),
            Kind::Disk(_) => Amount::ZERO,
        };
        let volume = Volume::create(folder, voice, self.number + 1, self.total.since(held))?;
        self.number += 1;
        self.use_disk(Arc::new(volume), 0, 0)
    }

    /// Switches to a file with `end` bytes and `written` entries; entries in memory go there first.
    fn use_disk(&mut self, volume: Arc<Volume>, mut end: u64, mut written: u64) -> io::Result<()> {
        let files = volume.files()?;
        (&files.log).seek(SeekFrom::Start(end))?;
        let resumed = matches!(&self.base.kind, Kind::Disk(base) if Arc::ptr_eq(base, &volume));
        let mut total = self.written;
        if let Kind::Memory(ring) = &self.segment.kind {
            let ring = lock(ring);
            // New files record in their header how much came before them.
            let gap = if resumed { ring.gap() } else { Vec::new() };
            let mut index: Vec<u8> =
                gap.iter().flat_map(|gap| Batch { offset: end, ..*gap }.encode()).collect();
            let start = end;
            for (batch, bytes) in ring.batches() {
                append(&files, [bytes, &[]])?;
                index.extend(Batch { offset: end, ..*batch }.encode());
                end += bytes.len() as u64;
            }
            files.index.write_all_at(&index, Files::place(written))?;
            written += (index.len() / Batch::SIZE) as u64;
            self.counts.stored += end - start;
            total = ring.count();
        }
        if total > 0 {
            self.remember_ring();
        }
        let next = Segment::new(Kind::Disk(volume));
        self.follow(total, self.total, next.clone(), written);
        (self.base, self.end, self.written) = (next, end, written);
        Ok(())
    }

    /// Bounds the memory that slow readers hold.
    fn remember_ring(&mut self) {
        self.rings.retain(|ring| ring.strong_count() > 0);
        self.rings.push_back(Arc::downgrade(&self.segment));
        if self.rings.len() <= RINGS_MAX {
            return;
        }
        let oldest = self.rings.pop_front().and_then(|ring| ring.upgrade());
        if let Some(Kind::Memory(ring)) = oldest.as_deref().map(|segment| &segment.kind) {
            lock(ring).clear();
        }
    }

    /// Keeps entries in memory from now on, including the unindexed ones.
    pub fn use_memory(&mut self) {
        let Kind::Disk(volume) = &self.segment.kind else { return };
        let files = volume.files();
        let mut start = self.total;
        self.pending.iter().for_each(|batch| start -= batch.amount());
        let mut ring = Ring::after(start);
        for batch in std::mem::take(&mut self.pending) {
            self.end = self.end.min(batch.offset);
            self.counts.stored -= u64::from(batch.len);
            self.counts.dropped += match files.as_ref().map(|files| files.bytes(&batch)) {
                Ok(Ok(bytes)) => ring.push(batch, bytes),
                Ok(Err(_)) | Err(_) => ring.lose(batch),
            };
        }
        self.follow(self.written, start, Segment::memory(ring), 0);
    }

    /// Ends the current segment with `total` entries. The next one is read from entry `first` on.
    fn follow(&mut self, total: u64, upto: Amount, segment: Arc<Segment>, first: u64) {
        let last = std::mem::replace(&mut self.segment, segment.clone());
        let first_time = last.next.set(Next { total, upto, segment, first }).is_ok();
        debug_assert!(first_time, "the current segment already has a successor");
        self.sealed = true;
    }

    /// Adds an entry for stored bytes, joined to the last one if possible.
    pub fn note(&mut self, batch: Batch) {
        let joined = !self.sealed && self.pending.last_mut().is_some_and(|last| last.join(&batch));
        if !joined {
            self.pending.push(batch);
        }
        self.sealed = false;
    }

    pub fn remember(&mut self, batch: Batch, bytes: Bytes) {
        match &self.segment.kind {
            Kind::Memory(ring) => self.counts.dropped += lock(ring).push(batch, bytes),
            Kind::Disk(_) => self.counts.dropped += bytes.len() as u64,
        }
    }

    /// Writes unindexed entries to the index, or moves them to memory if that fails.
    pub fn flush(&mut self, voice: &Voice, notes: &Notes) {
        if let Err(error) = self.index_pending() {
            notes.disk(&format!("the log of {voice}"), &error);
            self.use_memory();
        }
    }

    fn index_pending(&mut self) -> io::Result<()> {
        let Kind::Disk(volume) = &self.segment.kind else { return Ok(()) };
        if self.pending.is_empty() {
            return Ok(());
        }
        let bytes: Vec<u8> = self.pending.iter().flat_map(Batch::encode).collect();
        volume.files()?.index.write_all_at(&bytes, Files::place(self.written))?;
        self.written += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }
}

/// Appends both parts to the log file. After an error `use_disk` must set its position again.
fn append(files: &Files, parts: [&[u8]; 2]) -> io::Result<()> {
    let mut slices = parts.map(IoSlice::new);
    let mut slices = &mut slices[..];
    IoSlice::advance_slices(&mut slices, 0);
    while !slices.is_empty() {
        match (&files.log).write_vectored(slices) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(len) => IoSlice::advance_slices(&mut slices, len),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
