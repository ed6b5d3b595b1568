use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use super::service_palette::ServicePalette;
use crate::log::capture::RawChunk;
use crate::log::lock_unpoisoned;
use crate::log::log_size::LogSize;
use crate::log::store::{ChunkNumber, ServiceLog};
use crate::model::{OutputStream, RunId};

/// Chunks to be printed, between the captures and the printer. Numbers every line.
pub(crate) struct PrintQueue {
    state: Mutex<PrintQueueState>,
    /// The printer waits here for work.
    work: Condvar,
    /// `finish` waits here for the printer.
    progress: Condvar,
}

pub(crate) struct PrintQueueState {
    slabs: VecDeque<QueuedChunk>,
    /// Cost of the queued chunks and of those being printed.
    bytes: usize,
    /// Number of the next line.
    pub next_seq: u64,
    pub mode: PrintMode,
    pub table: Arc<ServicePalette>,
    /// The printer waits for work.
    idle: bool,
    ending: bool,
    /// Counts the printer's progress.
    steps: u64,
    /// Buffers of printed chunks, for reuse.
    spare: Vec<Vec<u8>>,
}

/// How lines reach the printer.
pub(crate) enum PrintMode {
    /// Through the queue.
    Live,
    /// The queue was full: the printer reads stored lines from this number on.
    Behind { since: u64 },
    /// Not at all: there is no output, or it is gone.
    Closed,
}

pub(crate) struct QueuedChunk {
    pub lane: Arc<ServiceLog>,
    pub run: RunId,
    pub stream: OutputStream,
    /// Number of the first line.
    pub seq: u64,
    /// Number after the last line.
    end: u64,
    pub at: i64,
    pub continues: bool,
    pub open: bool,
    pub bytes: Vec<u8>,
}

impl PrintQueue {
    /// Most bytes in the queue. A terminal that is slow for a moment should not cause disk reads,
    /// and one that hangs should not cost more memory.
    pub const MAX_BYTES: usize = 8 * 1024 * 1024;
    /// Cost of a chunk besides its bytes.
    const CHUNK_COST: usize = 128;
    /// Largest chunk in bytes: what the printer writes at once.
    const MAX_CHUNK: usize = 256 * 1024;
    /// Most buffers kept for reuse.
    const MAX_SPARE: usize = 8;

    pub fn new(open: bool) -> PrintQueue {
        let state = PrintQueueState {
            slabs: VecDeque::new(),
            bytes: 0,
            next_seq: 0,
            mode: if open { PrintMode::Live } else { PrintMode::Closed },
            table: Arc::default(),
            idle: false,
            ending: false,
            steps: 0,
            spare: Vec::new(),
        };
        PrintQueue { state: Mutex::new(state), work: Condvar::new(), progress: Condvar::new() }
    }

    /// Numbers the lines of a chunk and passes them to the printer.
    pub fn push(&self, lane: &Arc<ServiceLog>, piece: &RawChunk<'_>, lines: usize) -> ChunkNumber {
        let mut state = lock_unpoisoned(&self.state);
        let seq = state.next_seq;
        state.next_seq += lines as u64;
        let printed = match &state.mode {
            PrintMode::Closed => false,
            PrintMode::Behind { .. } => true,
            PrintMode::Live if state.bytes + piece.len() + Self::CHUNK_COST > Self::MAX_BYTES => {
                state.mode = PrintMode::Behind { since: seq };
                true
            }
            PrintMode::Live => {
                state.add(lane, piece, seq..seq + lines as u64);
                true
            }
        };
        if printed {
            self.wake(&mut state);
        }
        ChunkNumber { seq, printed }
    }

    fn wake(&self, state: &mut PrintQueueState) {
        if std::mem::take(&mut state.idle) {
            self.work.notify_one();
        }
    }

    /// Locks the state, to read or change single fields.
    pub fn state(&self) -> MutexGuard<'_, PrintQueueState> {
        lock_unpoisoned(&self.state)
    }

    /// Waits for work: the queued chunks, or an empty list when the printer is behind. `None`:
    /// everything is printed and nothing more comes.
    pub fn next(&self) -> Option<VecDeque<QueuedChunk>> {
        let mut state = lock_unpoisoned(&self.state);
        loop {
            if !state.slabs.is_empty() {
                return Some(std::mem::take(&mut state.slabs));
            }
            match state.mode {
                PrintMode::Behind { .. } => return Some(VecDeque::new()),
                PrintMode::Closed => return None,
                PrintMode::Live if state.ending => return None,
                PrintMode::Live => {}
            }
            state.idle = true;
            state = self.work.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }

    /// Takes back the buffer of a printed chunk.
    pub fn recycle(&self, slab: QueuedChunk) {
        let mut state = lock_unpoisoned(&self.state);
        state.bytes -= slab.cost();
        let QueuedChunk { mut bytes, .. } = slab;
        if state.spare.len() < Self::MAX_SPARE {
            bytes.clear();
            state.spare.push(bytes);
        }
    }

    pub fn progressed(&self) {
        lock_unpoisoned(&self.state).steps += 1;
        self.progress.notify_all();
    }

    /// Stops printing for good.
    pub fn close(&self) {
        let mut state = lock_unpoisoned(&self.state);
        state.mode = PrintMode::Closed;
        state.slabs.clear();
        state.bytes = 0;
        state.steps += 1;
        self.work.notify_one();
        self.progress.notify_all();
    }

    pub fn is_closed(&self) -> bool {
        matches!(lock_unpoisoned(&self.state).mode, PrintMode::Closed)
    }

    /// Asks the printer to end once everything is printed.
    pub fn end(&self) {
        lock_unpoisoned(&self.state).ending = true;
        self.work.notify_one();
    }

    /// Waits for the queue to close; returns `false` without any progress for `patience`.
    pub fn wait_closed(&self, patience: Duration) -> bool {
        let mut state = lock_unpoisoned(&self.state);
        while !matches!(state.mode, PrintMode::Closed) {
            let steps = state.steps;
            let (after, waited) = self
                .progress
                .wait_timeout(state, patience)
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            state = after;
            if waited.timed_out() && state.steps == steps {
                return matches!(state.mode, PrintMode::Closed);
            }
        }
        true
    }

    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        lock_unpoisoned(&self.state).bytes
    }
}

impl PrintQueueState {
    /// Appends to the last queued chunk if this one follows directly, or else adds a new one.
    fn add(&mut self, lane: &Arc<ServiceLog>, piece: &RawChunk<'_>, seq: Range<u64>) {
        self.bytes += piece.len();
        if let Some(slab) = self.slabs.back_mut()
            && slab.takes(lane, piece, seq.start)
        {
            slab.extend(piece, seq.end);
            return;
        }
        self.bytes += PrintQueue::CHUNK_COST;
        let mut slab = QueuedChunk {
            lane: lane.clone(),
            run: piece.run,
            stream: piece.stream,
            seq: seq.start,
            end: seq.end,
            at: piece.at,
            continues: piece.continues,
            open: false,
            bytes: self.spare.pop().unwrap_or_else(|| Vec::with_capacity(piece.len())),
        };
        slab.extend(piece, seq.end);
        self.slabs.push_back(slab);
    }
}

impl QueuedChunk {
    pub fn amount(&self) -> LogSize {
        LogSize { lines: self.end - self.seq, bytes: self.bytes.len() as u64 }
    }

    fn cost(&self) -> usize {
        PrintQueue::CHUNK_COST + self.bytes.len()
    }

    fn takes(&self, lane: &Arc<ServiceLog>, piece: &RawChunk<'_>, seq: u64) -> bool {
        Arc::ptr_eq(&self.lane, lane)
            && self.run == piece.run
            && self.end == seq
            && self.stream == piece.stream
            && !self.open
            && !piece.continues
            && self.bytes.len() + piece.len() <= PrintQueue::MAX_CHUNK
            // Timestamps show seconds.
            && self.at.div_euclid(1000) == piece.at.div_euclid(1000)
    }

    fn extend(&mut self, piece: &RawChunk<'_>, end: u64) {
        self.end = end;
        self.bytes.extend_from_slice(piece.parts[0]);
        self.bytes.extend_from_slice(piece.parts[1]);
        self.open = piece.open;
    }
}
