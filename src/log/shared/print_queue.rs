use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::log::lock_unpoisoned;
use crate::log::service_palette::ServicePalette;
use crate::log::store::LogChunk;
use crate::model::Name;

/// Chunks to be printed, between the captures and the printer. Numbers every line.
pub(crate) struct PrintQueue {
    state: Mutex<PrintQueueState>,
    /// The printer waits here for work.
    work: Condvar,
    /// `finish` waits here for the printer.
    progress: Condvar,
}

pub(crate) struct PrintQueueState {
    items: VecDeque<PrintItem>,
    /// Cost of the queued chunks and of those being printed.
    bytes: usize,
    /// Number of the next line.
    pub next_seq: u64,
    pub mode: PrintMode,
    pub table: Arc<ServicePalette>,
    /// The printer waits for work.
    idle: bool,
    /// Nothing is printed for now: the terminal shows something else.
    held: bool,
    /// Number of the line before which everything was held, until the printer knows.
    pub released: Option<u64>,
    ending: bool,
    /// Counts the printer's progress.
    steps: u64,
}

/// What the printer gets.
pub(crate) enum PrintItem {
    Chunk(LogChunk),
    /// How the current run of a service turned out, after its output so far.
    Judged {
        service: Name,
        crashed: bool,
    },
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
    /// Cost of an item besides its bytes.
    const ITEM_COST: usize = 192;

    pub fn new(open: bool) -> PrintQueue {
        let state = PrintQueueState {
            items: VecDeque::new(),
            bytes: 0,
            next_seq: 0,
            mode: if open { PrintMode::Live } else { PrintMode::Closed },
            table: Arc::default(),
            idle: false,
            held: false,
            released: None,
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
            PrintMode::Live if state.bytes + cost(chunk.bytes.len()) > Self::MAX_BYTES => {
                state.mode = PrintMode::Behind { since: seq };
            }
            PrintMode::Live => {
                state.bytes += cost(chunk.bytes.len());
                state.items.push_back(PrintItem::Chunk(chunk));
            }
        }
        self.wake(&mut state);
        seq
    }

    /// Passes on how the current run of a service turned out. A printer that is behind, or nearly,
    /// ignores it.
    pub fn judge(&self, service: Name, crashed: bool) {
        let mut state = lock_unpoisoned(&self.state);
        let room = state.bytes + cost(0) <= Self::MAX_BYTES;
        if matches!(state.mode, PrintMode::Live) && room {
            state.bytes += cost(0);
            state.items.push_back(PrintItem::Judged { service, crashed });
            self.wake(&mut state);
        }
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

    /// Waits for work until `deadline`: what is queued, or an empty list when it is over or when the
    /// printer is behind. `None`: everything is printed and nothing more comes.
    pub fn next(&self, deadline: Option<Instant>) -> Option<VecDeque<PrintItem>> {
        let mut state = lock_unpoisoned(&self.state);
        loop {
            if state.held && !matches!(state.mode, PrintMode::Closed) {
                state.idle = true;
                state = self.work.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner);
                continue;
            }
            if !state.items.is_empty() {
                return Some(std::mem::take(&mut state.items));
            }
            match state.mode {
                PrintMode::Behind { .. } => return Some(VecDeque::new()),
                PrintMode::Closed => return None,
                PrintMode::Live if state.ending => return None,
                PrintMode::Live => {}
            }
            state.idle = true;
            self.progress.notify_all();
            let Some(deadline) = deadline else {
                state = self.work.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner);
                continue;
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                state.idle = false;
                return Some(VecDeque::new());
            }
            let waited = self.work.wait_timeout(state, left);
            state = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
    }

    /// Counts an item with so many bytes as printed.
    pub fn printed(&self, bytes: usize) {
        let mut state = lock_unpoisoned(&self.state);
        // Zero if it was closed in the meantime.
        state.bytes = state.bytes.saturating_sub(cost(bytes));
    }

    pub fn progressed(&self) {
        lock_unpoisoned(&self.state).steps += 1;
        self.progress.notify_all();
    }

    /// Stops printing for good.
    pub fn close(&self) {
        let mut state = lock_unpoisoned(&self.state);
        state.mode = PrintMode::Closed;
        state.items.clear();
        state.bytes = 0;
        state.steps += 1;
        self.work.notify_one();
        self.progress.notify_all();
    }

    pub fn is_closed(&self) -> bool {
        matches!(lock_unpoisoned(&self.state).mode, PrintMode::Closed)
    }

    /// Lets the printer print nothing from its next chunk on.
    pub fn hold(&self) {
        lock_unpoisoned(&self.state).held = true;
    }

    /// Lets the printer go on after [`PrintQueue::hold`].
    pub fn release(&self) {
        let mut state = lock_unpoisoned(&self.state);
        if std::mem::take(&mut state.held) {
            state.released = Some(state.next_seq);
        }
        self.work.notify_one();
    }

    /// Asks the printer to end once everything is printed.
    pub fn end(&self) {
        self.release();
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

    /// Waits until everything is printed, for at most `limit`.
    pub fn wait_printed(&self, limit: Duration) {
        let state = lock_unpoisoned(&self.state);
        let pending = |state: &mut PrintQueueState| match state.mode {
            PrintMode::Live => !(state.idle && state.items.is_empty()),
            PrintMode::Behind { .. } => true,
            PrintMode::Closed => false,
        };
        // Whether in time or not, the caller goes on.
        drop(self.progress.wait_timeout_while(state, limit, pending));
    }

    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        lock_unpoisoned(&self.state).bytes
    }
}

/// Returns what an item with so many bytes costs.
fn cost(bytes: usize) -> usize {
    PrintQueue::ITEM_COST + bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_on_runs_do_not_pile_up_behind_a_paused_terminal() {
        let queue = PrintQueue::new(true);
        let most = PrintQueue::MAX_BYTES / PrintQueue::ITEM_COST;
        for _ in 0..=most {
            queue.judge(Name::new("api").expect("valid name"), true);
        }
        let items = queue.next(None).expect("open");
        assert_eq!(items.len(), most);
        items.iter().for_each(|_| queue.printed(0));
        assert_eq!(queue.bytes(), 0);
    }
}
