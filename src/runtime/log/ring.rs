use std::collections::VecDeque;

use bytes::Bytes;

use super::amount::Amount;
use super::batch::Batch;

/// The last batches of a service in memory, for as long as they cannot be written to the disk.
#[derive(Default)]
pub(super) struct Ring {
    batches: VecDeque<(Batch, Bytes)>,
    /// How much is here.
    held: Amount,
    /// How much the service had printed before all that was ever here.
    start: Amount,
    /// How many batches were pushed out.
    gone: u64,
    /// How much that was.
    lost: Amount,
    /// The first of them.
    first_gone: Option<Batch>,
}

impl Ring {
    /// What one service may keep in memory: some thousand lines, and with a hundred services
    /// still little.
    pub const BYTES_MAX: u64 = 256 * 1024;

    /// An empty ring of a service that has printed so much.
    pub fn after(start: Amount) -> Ring {
        Ring { start, ..Ring::default() }
    }

    /// Adds a batch; gives how many bytes were pushed out for it.
    pub fn push(&mut self, batch: Batch, bytes: Bytes) -> u64 {
        self.held += batch.amount();
        self.batches.push_back((batch, bytes));
        let before = self.lost.bytes;
        while self.held.bytes > Self::BYTES_MAX && self.batches.len() > 1 {
            self.push_out();
        }
        self.lost.bytes - before
    }

    /// Counts a batch whose bytes could not be had, and with it all before it; gives how many bytes were lost.
    pub fn lose(&mut self, batch: Batch) -> u64 {
        let before = self.lost.bytes;
        self.held += batch.amount();
        self.batches.push_back((batch, Bytes::new()));
        self.clear();
        self.lost.bytes - before
    }

    /// Pushes everything out.
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

    /// How many batches were ever added.
    pub fn count(&self) -> u64 {
        self.gone + self.batches.len() as u64
    }

    /// How much is here.
    pub fn held(&self) -> Amount {
        self.held
    }

    /// How much the service had printed before all that was ever here.
    pub fn start(&self) -> Amount {
        self.start
    }

    /// How many batches are no longer here, and how much the service had printed at their end.
    pub fn gone(&self) -> (u64, Amount) {
        (self.gone, self.start + self.lost)
    }

    /// What the index says of that which is no longer here.
    pub fn gap(&self) -> Vec<Batch> {
        self.first_gone.map_or(Vec::new(), |first| first.gap(self.lost))
    }

    /// What is here, oldest first.
    pub fn batches(&self) -> impl DoubleEndedIterator<Item = &(Batch, Bytes)> {
        self.batches.iter()
    }
}
