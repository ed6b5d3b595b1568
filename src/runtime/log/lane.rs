use std::io::{self, IoSlice, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::batch::Batch;
use super::cursor::Found;
use super::folder::Folder;
use super::lock;
use super::logs::Counts;
use super::notes::Notes;
use super::ring::Ring;
use super::segment::{Files, Kind, MAGIC, Segment};
use crate::model::{Name, Run, Stream};

/// The stored output of one service: the writing half. Reading is in `cursor`.
pub(super) struct Lane {
    /// The service.
    pub name: Name,
    state: Mutex<State>,
}

struct State {
    /// Where the files are made; `None`: there is no place for files.
    folder: Option<Arc<Folder>>,
    /// Where a new reader starts.
    base: Arc<Segment>,
    /// Where batches go: `base`, or what follows it.
    segment: Arc<Segment>,
    /// The end of the stored bytes in the log file.
    end: u64,
    /// How many batches are in the index.
    written: u64,
    /// Batches whose bytes are in the log file and that are not in the index yet.
    pending: Vec<Batch>,
    /// The last of `pending` was read by somebody: it must not grow any more.
    sealed: bool,
    /// When the files are next checked, or the disk is next tried.
    look_again: Instant,
    counts: Counts,
    /// How many lines came in.
    lines: u64,
    /// How many of them were in files that are gone: a new reader cannot have them.
    forgotten: u64,
    /// The run that printed last.
    run: Option<Run>,
}

/// How often the files are looked at: whether they are still there, or whether the disk is back.
const LOOK: Duration = Duration::from_secs(1);
/// The longest `pending`, for when the printer, which empties it, waits for the terminal.
const PENDING_MAX: usize = 128;

/// What a capture hands over: whole lines of one stream.
pub(super) struct Piece<'a> {
    pub run: Run,
    pub stream: Stream,
    pub continues: bool,
    pub open: bool,
    /// Milliseconds since 1970.
    pub at: i64,
    /// The bytes, in two parts so that nobody has to join them first.
    pub parts: [&'a [u8]; 2],
}

impl Piece<'_> {
    pub fn len(&self) -> usize {
        self.parts[0].len() + self.parts[1].len()
    }

    /// How many lines it has. The first part ends within a line, so only newlines count.
    pub fn lines(&self) -> usize {
        let ends = |part| memchr::memchr_iter(b'\n', part).count();
        ends(self.parts[0]) + ends(self.parts[1]) + usize::from(self.open)
    }

    pub fn joined(&self) -> Bytes {
        self.parts.concat().into()
    }
}

/// What the queue says about a piece.
pub(super) struct Numbered {
    /// The number of its first line.
    pub seq: u64,
    /// Whether the printer will come by and write the index.
    pub printed: bool,
}

/// What somebody who wants to read from a lane starts with.
pub(super) struct Extent {
    pub base: Arc<Segment>,
    pub segment: Arc<Segment>,
    pub written: u64,
    pub pending: Vec<Batch>,
    pub forgotten: u64,
    pub run: Option<Run>,
}

impl Lane {
    /// A lane without files: they are made when the service prints something.
    pub fn new(name: Name, folder: Option<Arc<Folder>>) -> Lane {
        let start = Segment::memory();
        let state = State {
            folder,
            base: start.clone(),
            segment: start,
            end: 0,
            written: 0,
            pending: Vec::new(),
            sealed: false,
            look_again: Instant::now(),
            counts: Counts::default(),
            lines: 0,
            forgotten: 0,
            run: None,
        };
        Lane { name, state: Mutex::new(state) }
    }

    /// A lane over files that nobody writes any more. `rest` is what the index does not know.
    pub fn over(name: Name, files: Files, written: u64, rest: Vec<Batch>) -> Lane {
        let lane = Lane::new(name, None);
        let mut state = lock(&lane.state);
        state.base = Segment::new(Kind::Disk(Arc::new(files)), 0);
        state.segment = state.base.clone();
        (state.written, state.pending) = (written, rest);
        drop(state);
        lane
    }

    /// Stores a piece. `number` is called in between: it gives the piece its number and hands it to the printer.
    pub fn store(&self, piece: &Piece<'_>, notes: &Notes, number: impl FnOnce(usize) -> Numbered) {
        let mut state = lock(&self.state);
        let len = piece.len() as u64;
        state.counts.taken += len;
        state.run = Some(piece.run);
        let on_disk = state.write(&self.name, piece, notes);
        let lines = piece.lines();
        let numbered = number(lines);
        state.lines += lines as u64;
        let batch = Batch {
            at: piece.at,
            seq: numbered.seq,
            run: piece.run,
            offset: if on_disk { state.end } else { 0 },
            len: u32::try_from(len).expect("a piece is at most two lines long"),
            lines: u32::try_from(lines).expect("a piece has fewer lines than bytes"),
            stream: piece.stream,
            continues: piece.continues,
            open: piece.open,
        };
        if on_disk {
            state.end += len;
            state.counts.stored += len;
            state.note(batch);
            if !numbered.printed || state.pending.len() >= PENDING_MAX {
                state.flush(&self.name, notes);
            }
        } else {
            state.remember(batch, piece.joined());
        }
    }

    /// Writes what is pending into the index.
    pub fn flush(&self, notes: &Notes) {
        lock(&self.state).flush(&self.name, notes);
    }

    /// How many bytes came in and where they are.
    pub fn counts(&self) -> Counts {
        lock(&self.state).counts
    }

    /// The next bytes look at the files, as they do a second later anyway.
    #[cfg(test)]
    pub fn look_now(&self) {
        lock(&self.state).look_again = Instant::now();
    }

    /// As after a write that failed.
    #[cfg(test)]
    pub fn fail_once(&self, notes: &Notes) {
        let mut state = lock(&self.state);
        notes.disk("the log of a test", &io::ErrorKind::StorageFull.into());
        state.use_memory();
        state.look_again = Instant::now() + LOOK * 1000;
    }

    /// What there is in `segment` from batch `at` on, at most `max` batches.
    pub fn find(&self, segment: &Arc<Segment>, at: u64, max: u64) -> Found {
        let mut state = lock(&self.state);
        if let Some((total, next)) = segment.next.get()
            && at >= *total
        {
            return Found::Next(*total, next.clone());
        }
        match &segment.kind {
            Kind::Memory(ring) => {
                let ring = lock(ring);
                let (gone, gone_lines) = ring.gone();
                let skip = usize::try_from(at.saturating_sub(gone)).unwrap_or(usize::MAX);
                let batches: Vec<_> =
                    ring.batches().skip(skip).take(max as usize).cloned().collect();
                if batches.is_empty() {
                    Found::Nothing
                } else {
                    Found::Held { gone, gone_lines, batches }
                }
            }
            Kind::Disk(files) => {
                let indexed = segment.next.get().map_or(state.written, |(total, _)| *total);
                if at < indexed {
                    return Found::Indexed(files.clone(), indexed.min(at + max));
                }
                let skip = usize::try_from(at - indexed).unwrap_or(usize::MAX);
                let batches: Vec<_> = state.pending.iter().skip(skip).copied().collect();
                if batches.is_empty() {
                    return Found::Nothing;
                }
                // What somebody has seen must not grow.
                state.sealed = true;
                Found::Pending(files.clone(), batches)
            }
        }
    }

    /// Where to start reading.
    pub fn extent(&self) -> Extent {
        let mut state = lock(&self.state);
        state.sealed = true;
        Extent {
            base: state.base.clone(),
            segment: state.segment.clone(),
            written: state.written,
            pending: state.pending.clone(),
            forgotten: state.forgotten,
            run: state.run,
        }
    }
}

impl State {
    /// Appends the bytes of a piece to the log file, if that is possible.
    fn write(&mut self, name: &Name, piece: &Piece<'_>, notes: &Notes) -> bool {
        let now = Instant::now();
        if now >= self.look_again {
            self.look_again = now + LOOK;
            if let Err(error) = self.look(name) {
                notes.disk(&format!("the log of {name}"), &error);
            }
        }
        let Kind::Disk(files) = &self.segment.kind else { return false };
        match append(files, piece.parts) {
            Ok(()) => true,
            Err(error) => {
                notes.disk(&format!("the log of {name}"), &error);
                self.use_memory();
                false
            }
        }
    }

    /// Makes sure that batches go to files that have their names.
    fn look(&mut self, name: &Name) -> io::Result<()> {
        let Some(folder) = self.folder.clone() else { return Ok(()) };
        let log = format!("{name}.log");
        let index = format!("{name}.idx");
        let known =
            [&self.segment, &self.base].into_iter().find_map(|segment| match &segment.kind {
                Kind::Disk(files) => Some(files.clone()),
                Kind::Memory(_) => None,
            });
        let there = known.filter(|files| {
            folder.holds(&log, &files.log, self.end)
                && folder.holds(&index, &files.index, Files::place(self.written))
        });
        match (there, &self.segment.kind) {
            (Some(_), Kind::Disk(_)) => Ok(()),
            (Some(files), Kind::Memory(_)) => self.use_disk(files, self.end, self.written),
            (None, Kind::Disk(_) | Kind::Memory(_)) => {
                self.let_go();
                let files = Files { log: folder.make(&log)?, index: folder.make(&index)? };
                (&files.index).write_all(MAGIC)?;
                // Readers that are behind still hold the old files: their index must be complete.
                if self.index_pending().is_err() {
                    self.use_memory();
                }
                let kept = match &self.segment.kind {
                    Kind::Memory(ring) => lock(ring).lines(),
                    Kind::Disk(_) => 0,
                };
                self.use_disk(Arc::new(files), 0, 0)?;
                self.forgotten = self.lines - kept;
                Ok(())
            }
        }
    }

    /// Closes files that somebody has deleted while nothing can be written: perhaps to make room, and there is
    /// none before they are closed.
    fn let_go(&mut self) {
        let (Kind::Memory(ring), Kind::Disk(_)) = (&self.segment.kind, &self.base.kind) else {
            return;
        };
        let ring = lock(ring);
        self.forgotten = self.lines - (ring.gone().1 + ring.lines());
        drop(ring);
        (self.base, self.end, self.written) = (self.segment.clone(), 0, 0);
    }

    /// From now on batches go to `files`, which has `end` bytes and `written` batches. What was kept
    /// in memory goes there first.
    fn use_disk(&mut self, files: Arc<Files>, mut end: u64, mut written: u64) -> io::Result<()> {
        (&files.log).seek(SeekFrom::Start(end))?;
        let mut total = self.written;
        if let Kind::Memory(ring) = &self.segment.kind {
            let ring = lock(ring);
            let mut index = Vec::new();
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
        let next = Segment::new(Kind::Disk(files), written);
        self.follow(total, next.clone());
        (self.base, self.end, self.written) = (next, end, written);
        Ok(())
    }

    /// From now on batches are kept in memory; so is what the index does not have yet.
    fn use_memory(&mut self) {
        let Kind::Disk(files) = &self.segment.kind else { return };
        let mut ring = Ring::default();
        for batch in std::mem::take(&mut self.pending) {
            self.end = self.end.min(batch.offset);
            self.counts.stored -= u64::from(batch.len);
            match files.bytes(&batch) {
                Ok(bytes) => self.counts.dropped += ring.push(batch, bytes),
                Err(_) => self.counts.dropped += u64::from(batch.len),
            }
        }
        self.follow(self.written, Segment::new(Kind::Memory(Mutex::new(ring)), 0));
    }

    /// Ends the current segment, which has `total` batches.
    fn follow(&mut self, total: u64, next: Arc<Segment>) {
        let last = std::mem::replace(&mut self.segment, next.clone());
        let first_time = last.next.set((total, next)).is_ok();
        debug_assert!(first_time, "a segment that has a successor is never the current one");
        self.sealed = true;
    }

    /// Remembers where a batch is.
    fn note(&mut self, batch: Batch) {
        let joined = !self.sealed && self.pending.last_mut().is_some_and(|last| last.join(&batch));
        if !joined {
            self.pending.push(batch);
        }
        self.sealed = false;
    }

    /// Keeps a batch in memory.
    fn remember(&mut self, batch: Batch, bytes: Bytes) {
        match &self.segment.kind {
            Kind::Memory(ring) => self.counts.dropped += lock(ring).push(batch, bytes),
            Kind::Disk(_) => self.counts.dropped += bytes.len() as u64,
        }
    }

    fn flush(&mut self, name: &Name, notes: &Notes) {
        if let Err(error) = self.index_pending() {
            notes.disk(&format!("the log of {name}"), &error);
            self.use_memory();
        }
    }

    fn index_pending(&mut self) -> io::Result<()> {
        let Kind::Disk(files) = &self.segment.kind else { return Ok(()) };
        if self.pending.is_empty() {
            return Ok(());
        }
        let bytes: Vec<u8> = self.pending.iter().flat_map(Batch::encode).collect();
        files.index.write_all_at(&bytes, Files::place(self.written))?;
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
