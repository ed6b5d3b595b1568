use std::collections::VecDeque;

use bytes::Bytes;

use super::amount::Amount;
use super::batch::Batch;

/// The last entries of a service, in memory while the disk cannot be written.
#[derive(Default)]
pub(super) struct Ring {
    batches: VecDeque<(Batch, Bytes)>,
    held: Amount,
    /// How much the service had printed before the first entry that was ever here.
    start: Amount,
    /// Number of evicted entries.
    gone: u64,
    /// Size of the evicted entries.
    lost: Amount,
    first_gone: Option<Batch>,
}

impl Ring {
    /// Most bytes kept in memory per service: thousands of lines, but little for many services.
    pub const BYTES_MAX: u64 = 256 * 1024;

    /// Creates an empty ring for a service that has printed `start` so far.
    pub fn after(start: Amount) -> Ring {
        Ring { start, ..Ring::default() }
    }

    /// Adds an entry and returns how many bytes were evicted for it.
    pub fn push(&mut self, batch: Batch, bytes: Bytes) -> u64 {
        self.held += batch.amount();
        self.batches.push_back((batch, bytes));
        let before = self.lost.bytes;
        while self.held.bytes > Self::BYTES_MAX && self.batches.len() > 1 {
            self.push_out();
        }
        self.lost.bytes - before
    }

    /// Adds an entry whose bytes cannot be read and evicts everything. Returns the bytes lost.
    pub fn lose(&mut self, batch: Batch) -> u64 {
        let before = self.lost.bytes;
        self.held += batch.amount();
        self.batches.push_back((batch, Bytes::new()));
        self.clear();
        self.lost.bytes - before
    }

    pub fn clear(&mut self) {
        while !self.batches.is_empty() {
            self.push_out();
        }
    }

    fn push_out(&mut self) {
        let Some((batch, _)) = self.batches.pop_front() else { return };
        self.first_gone.get_or_insert(batch);
        self.held -= batch.amount();
        self.lost += batch.amount();
        self.gone += 1;
    }

    /// Returns how many entries were ever added.
    pub fn count(&self) -> u64 {
        self.gone + self.batches.len() as u64
    }

    pub fn held(&self) -> Amount {
        self.held
    }

    pub fn start(&self) -> Amount {
        self.start
    }

    /// Returns the number of evicted entries, and how much the service had printed by their end.
    pub fn gone(&self) -> (u64, Amount) {
        (self.gone, self.start + self.lost)
    }

    /// Returns index entries that stand for the evicted ones.
    pub fn gap(&self) -> Vec<Batch> {
        self.first_gone.map_or(Vec::new(), |first| first.gap(self.lost))
    }

    /// Returns the entries, oldest first.
    pub fn batches(&self) -> impl DoubleEndedIterator<Item = &(Batch, Bytes)> {
        self.batches.iter()
    }
}
