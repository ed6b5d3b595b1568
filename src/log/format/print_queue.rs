use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use super::service_palette::ServicePalette;
use crate::log::lock_unpoisoned;
use crate::log::store::LogChunk;

/// Chunks to be printed, between the captures and the printer. Numbers every line.
pub(crate) struct PrintQueue {
    state: Mutex<PrintQueueState>,
    /// The printer waits here for work.
    work: Condvar,
    /// `finish` waits here for the printer.
    progress: Condvar,
}

pub(crate) struct PrintQueueState {
    chunks: VecDeque<LogChunk>,
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

impl PrintQueue {
    /// Most bytes in the queue. A terminal that is slow for a moment should not cause disk reads,
    /// and one that hangs should not cost more memory.
    pub const MAX_BYTES: usize = 8 * 1024 * 1024;
    /// Cost of a chunk besides its bytes.
    const CHUNK_COST: usize = 192;

    pub fn new(open: bool) -> PrintQueue {
        let state = PrintQueueState {
            chunks: VecDeque::new(),
            bytes: 0,
            next_seq: 0,
            mode: if open { PrintMode::Live } else { PrintMode::Closed },
            table: Arc::default(),
            idle: false,
            ending: false,
            steps: 0,
        };
        PrintQueue { state: Mutex::new(state), work: Condvar::new(), progress: Condvar::new() }
    }

    /// Numbers the lines of a chunk and passes it to the printer. Returns the first number.
    pub fn push(&self, mut chunk: LogChunk) -> u64 {
        let mut state = lock_unpoisoned(&self.state);
        let seq = state.next_seq;
        state.next_seq += u64::from(chunk.batch.lines);
        chunk.batch.seq = seq;
        match &state.mode {
            PrintMode::Closed => return seq,
            PrintMode::Behind { .. } => {}
            PrintMode::Live if state.bytes + cost(&chunk) > Self::MAX_BYTES => {
                state.mode = PrintMode::Behind { since: seq };
            }
            PrintMode::Live => {
                state.bytes += cost(&chunk);
                state.chunks.push_back(chunk);
            }
        }
        self.wake(&mut state);
        seq
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
    pub fn next(&self) -> Option<VecDeque<LogChunk>> {
        let mut state = lock_unpoisoned(&self.state);
        loop {
            if !state.chunks.is_empty() {
                return Some(std::mem::take(&mut state.chunks));
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

    /// Counts a chunk as printed.
    pub fn printed(&self, chunk: &LogChunk) {
        let mut state = lock_unpoisoned(&self.state);
        // Zero if it was closed in the meantime.
        state.bytes = state.bytes.saturating_sub(cost(chunk));
    }

    pub fn progressed(&self) {
        lock_unpoisoned(&self.state).steps += 1;
        self.progress.notify_all();
    }

    /// Stops printing for good.
    pub fn close(&self) {
        let mut state = lock_unpoisoned(&self.state);
        state.mode = PrintMode::Closed;
        state.chunks.clear();
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

fn cost(chunk: &LogChunk) -> usize {
    PrintQueue::CHUNK_COST + chunk.bytes.len()
}
