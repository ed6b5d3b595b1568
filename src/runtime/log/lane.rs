mod state;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
#[cfg(test)]
use std::time::Instant;

use super::amount::Amount;
use super::batch::Batch;
use super::extent::{Extent, Kept};
use super::folder::Folder;
use super::found::Found;
use super::limits::Limits;
use super::lock;
use super::logs::Counts;
use super::notes::Notes;
use super::piece::Piece;
use super::segment::{Kind, Segment};
use super::voice::Voice;
use super::volume::Volume;
use state::State;

/// The stored output of one service or of devstack itself: the writing side. `LogCursor` reads it.
pub(super) struct Lane {
    pub voice: Voice,
    state: Mutex<State>,
}

/// Most unindexed entries. Usually the printer flushes earlier, unless it waits for the terminal.
const PENDING_MAX: usize = 128;

pub(super) struct Numbered {
    /// Number of its first line.
    pub seq: u64,
    /// Whether the printer gets the chunk and flushes the index later.
    pub printed: bool,
}

/// The newest file of a service of an ended stack.
pub(super) struct Newest {
    pub volume: Volume,
    /// Number of entries in its index.
    pub written: u64,
    /// Entries after the last indexed one.
    pub rest: Vec<Batch>,
    /// Everything the service printed.
    pub total: Amount,
}

impl Lane {
    /// Creates a log without files; the first output creates them.
    pub fn new(voice: Voice, folder: Option<Arc<Folder>>, limits: Arc<Limits>) -> Lane {
        Lane { voice, state: Mutex::new(State::new(folder, limits)) }
    }

    /// Creates a log from files that are no longer written: rotated ones in order, and the newest.
    pub fn over(voice: Voice, kept: VecDeque<Kept>, newest: Newest) -> Lane {
        let mut state = State::new(None, Arc::default());
        state.kept = kept;
        state.base = Segment::new(Kind::Disk(Arc::new(newest.volume)));
        state.segment = state.base.clone();
        (state.written, state.pending) = (newest.written, newest.rest);
        state.total = newest.total;
        Lane { voice, state: Mutex::new(state) }
    }

    /// Stores a chunk. In between, `number` numbers it and passes it to the printer.
    pub fn store(&self, piece: &Piece<'_>, notes: &Notes, number: impl FnOnce(usize) -> Numbered) {
        let mut state = lock(&self.state);
        let len = piece.len() as u64;
        state.counts.taken += len;
        state.run = Some(piece.run);
        let on_disk = state.write(&self.voice, piece, notes);
        let lines = piece.lines();
        let numbered = number(lines);
        let batch = Batch {
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
            state.note(batch);
            if !numbered.printed || state.pending.len() >= PENDING_MAX {
                state.flush(&self.voice, notes);
            }
        } else {
            state.remember(batch, piece.joined());
        }
    }

    /// Writes unindexed entries to the index.
    pub fn flush(&self, notes: &Notes) {
        lock(&self.state).flush(&self.voice, notes);
    }

    pub fn counts(&self) -> Counts {
        lock(&self.state).counts
    }

    pub fn total(&self) -> Amount {
        lock(&self.state).total
    }

    /// Makes the next write check the files, as happens once a second anyway.
    #[cfg(test)]
    pub fn look_now(&self) {
        lock(&self.state).look_again = Instant::now();
    }

    #[cfg(test)]
    pub fn fail_once(&self, notes: &Notes) {
        let mut state = lock(&self.state);
        notes.disk("the log of a test", &std::io::ErrorKind::StorageFull.into());
        state.use_memory();
        state.look_again = Instant::now() + state::LOOK * 1000;
    }

    /// Looks up entries of `segment` from number `at` on; `max` bounds those indexed or in memory.
    pub fn find(&self, segment: &Arc<Segment>, at: u64, max: u64) -> Found {
        let mut state = lock(&self.state);
        if let Some(next) = segment.next.get()
            && at >= next.total
        {
            return Found::Next(next.clone());
        }
        match &segment.kind {
            Kind::Memory(ring) => {
                let ring = lock(ring);
                let (gone, upto) = ring.gone();
                let skip = usize::try_from(at.saturating_sub(gone)).unwrap_or(usize::MAX);
                let batches: Vec<_> =
                    ring.batches().skip(skip).take(max as usize).cloned().collect();
                if batches.is_empty() && at >= gone {
                    Found::Nothing
                } else {
                    Found::Held { gone, upto, batches }
                }
            }
            Kind::Disk(volume) => {
                let indexed = segment.next.get().map_or(state.written, |next| next.total);
                if at < indexed {
                    return Found::Indexed(volume.clone(), indexed.min(at + max));
                }
                let skip = usize::try_from(at - indexed).unwrap_or(usize::MAX);
                let batches: Vec<_> = state.pending.iter().skip(skip).copied().collect();
                if batches.is_empty() {
                    return Found::Nothing;
                }
                // A reader has seen the last entry, so it must not grow.
                state.sealed = true;
                Found::Pending(volume.clone(), batches)
            }
        }
    }

    /// Returns what a reader needs to find its starting point.
    pub fn extent(&self) -> Extent {
        let mut state = lock(&self.state);
        state.sealed = true;
        let end = match &state.segment.kind {
            Kind::Disk(_) => state.written + state.pending.len() as u64,
            Kind::Memory(ring) => lock(ring).count(),
        };
        Extent {
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
