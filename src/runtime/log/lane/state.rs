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
use crate::model::Run;

/// What a lane knows of its files and of what is in memory.
pub(super) struct State {
    /// Where the files are made; `None`: there is no place for files.
    pub folder: Option<Arc<Folder>>,
    pub limits: Arc<Limits>,
    /// Files that were put away, oldest first.
    pub kept: VecDeque<Kept>,
    /// What follows them: the file that is written, or else what is in memory.
    pub base: Arc<Segment>,
    /// Where batches go: `base`, or what follows it.
    pub segment: Arc<Segment>,
    /// The end of the stored bytes in the log file.
    pub end: u64,
    /// How many batches are in the index.
    pub written: u64,
    /// Batches whose bytes are in the log file and that are not in the index yet.
    pub pending: Vec<Batch>,
    /// The last of `pending` was read by somebody: it must not grow any more.
    pub sealed: bool,
    /// When the files are next checked, or the disk is next tried.
    pub look_again: Instant,
    pub counts: Counts,
    /// How much came in, but for what is just being stored.
    pub total: Amount,
    /// The run that printed last.
    pub run: Option<Run>,
    /// The number of the newest file.
    number: u64,
    /// What was in memory once, for readers that are behind.
    rings: VecDeque<Weak<Segment>>,
}

/// How often the files are looked at: whether they are still there, or whether the disk is back.
pub(super) const LOOK: Duration = Duration::from_secs(1);
/// How often the disk may come and go before a reader that sleeps loses what was in memory meanwhile.
const RINGS_MAX: usize = 32;

impl State {
    /// Nothing came in yet.
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

    /// Appends the bytes of a piece to the log file, if that is possible.
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

    /// Whether the file that is written has no room for so many bytes more. An empty one has room for anything.
    fn is_full(&self, len: u64) -> bool {
        let index = Files::place(self.written + self.pending.len() as u64);
        let on_disk = matches!(self.segment.kind, Kind::Disk(_)) || len == 0;
        on_disk && self.end > 0 && self.end + index + len > self.limits.max_size()
    }

    /// Goes on in new files.
    fn rotate(&mut self, voice: &Voice) -> io::Result<()> {
        let Some(folder) = self.folder.clone() else { return Ok(()) };
        self.index_pending()?;
        self.use_memory();
        self.put_away(voice, &folder)?;
        self.begin(voice, &folder)
    }

    /// Makes sure that batches go to files that have their names.
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
                // Readers that are behind still hold the old files: their index must be complete. Where that
                // fails, it goes to memory.
                let _ = self.index_pending();
                self.use_memory();
                // Perhaps somebody deleted them to make room, and there is none before they are closed.
                self.let_go();
                self.begin(voice, &folder)
            }
        }
    }

    /// Keeps the files that were written as old ones, and removes those that are too many.
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

    /// Forgets the files that were written; from here on everything is in memory.
    fn let_go(&mut self) {
        (self.base, self.end, self.written) = (self.segment.clone(), 0, 0);
    }

    /// Makes new files and goes on there.
    fn begin(&mut self, voice: &Voice, folder: &Folder) -> io::Result<()> {
        let held = match &self.segment.kind {
            Kind::Memory(ring) => lock(ring).held(),
            Kind::Disk(_) => Amount::ZERO,
        };
        let volume = Volume::create(folder, voice, self.number + 1, self.total.since(held))?;
        self.number += 1;
        self.use_disk(Arc::new(volume), 0, 0)
    }

    /// From now on batches go to `volume`, which has `end` bytes and `written` batches. What was kept
    /// in memory goes there first.
    fn use_disk(&mut self, volume: Arc<Volume>, mut end: u64, mut written: u64) -> io::Result<()> {
        let files = volume.files()?;
        (&files.log).seek(SeekFrom::Start(end))?;
        let resumed = matches!(&self.base.kind, Kind::Disk(base) if Arc::ptr_eq(base, &volume));
        let mut total = self.written;
        if let Kind::Memory(ring) = &self.segment.kind {
            let ring = lock(ring);
            // New files say in their header how much came before them.
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

    /// Bounds what readers that are behind keep in memory.
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

    /// From now on batches are kept in memory; so is what the index does not have yet.
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

    /// Ends the current segment, which has `total` batches and goes up to `upto`. Of the next one, batches before
    /// `first` were in it, too, or before it.
    fn follow(&mut self, total: u64, upto: Amount, segment: Arc<Segment>, first: u64) {
        let last = std::mem::replace(&mut self.segment, segment.clone());
        let first_time = last.next.set(Next { total, upto, segment, first }).is_ok();
        debug_assert!(first_time, "a segment that has a successor is never the current one");
        self.sealed = true;
    }

    /// Remembers where a batch is.
    pub fn note(&mut self, batch: Batch) {
        let joined = !self.sealed && self.pending.last_mut().is_some_and(|last| last.join(&batch));
        if !joined {
            self.pending.push(batch);
        }
        self.sealed = false;
    }

    /// Keeps a batch in memory.
    pub fn remember(&mut self, batch: Batch, bytes: Bytes) {
        match &self.segment.kind {
            Kind::Memory(ring) => self.counts.dropped += lock(ring).push(batch, bytes),
            Kind::Disk(_) => self.counts.dropped += bytes.len() as u64,
        }
    }

    /// Writes what is pending into the index.
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

/// Writes both parts at the end of the log file, which is where its position is.
/// After an error the position is anywhere: `use_disk` sets it again.
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
