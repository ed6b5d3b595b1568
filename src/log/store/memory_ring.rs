use std::collections::VecDeque;

use bytes::Bytes;

use super::index_entry::IndexEntry;
use crate::log::log_size::LogSize;

/// The last entries of a service, in memory while the disk cannot be written.
#[derive(Clone, Default)]
pub(crate) struct MemoryRing {
    batches: VecDeque<(IndexEntry, Bytes)>,
    held: LogSize,
    /// How much the service had printed before the first entry that was ever here.
    start: LogSize,
    /// Number of evicted entries.
    gone: u64,
    /// Size of the evicted entries.
    lost: LogSize,
    first_gone: Option<IndexEntry>,
}

impl MemoryRing {
    /// Most bytes kept in memory per service: thousands of lines, but little for many services.
    pub const BYTES_MAX: u64 = 256 * 1024;

    /// Creates an empty ring for a service that has printed `start` so far.
    pub fn after(start: LogSize) -> MemoryRing {
        MemoryRing { start, ..MemoryRing::default() }
    }

    /// Adds an entry and returns how many bytes were evicted for it.
    pub fn push(&mut self, batch: IndexEntry, bytes: Bytes) -> u64 {
        self.held += batch.amount();
        self.batches.push_back((batch, bytes));
        let before = self.lost.bytes;
        while self.held.bytes > Self::BYTES_MAX && self.batches.len() > 1 {
            self.evict_oldest();
        }
        self.lost.bytes - before
    }

    /// Adds an entry whose bytes cannot be read and evicts everything. Returns the bytes lost.
    pub fn count_lost(&mut self, batch: IndexEntry) -> u64 {
        let before = self.lost.bytes;
        self.held += batch.amount();
        self.batches.push_back((batch, Bytes::new()));
        self.clear();
        self.lost.bytes - before
    }

    pub fn clear(&mut self) {
        while !self.batches.is_empty() {
            self.evict_oldest();
        }
    }

    fn evict_oldest(&mut self) {
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

    pub fn size(&self) -> LogSize {
        self.held
    }

    pub fn start(&self) -> LogSize {
        self.start
    }

    /// Returns the number of evicted entries, and how much the service had printed by their end.
    pub fn evicted(&self) -> (u64, LogSize) {
        (self.gone, self.start + self.lost)
    }

    /// Returns index entries that stand for the evicted ones.
    pub fn gap(&self) -> Vec<IndexEntry> {
        self.first_gone.map_or(Vec::new(), |first| first.lost_entries(self.lost))
    }

    /// Returns the entries, oldest first.
    pub fn batches(&self) -> impl DoubleEndedIterator<Item = &(IndexEntry, Bytes)> {
        self.batches.iter()
    }
}
