use std::collections::VecDeque;

use bytes::Bytes;

use super::batch::Batch;

/// The last batches of a service in memory, for as long as they cannot be written to the disk.
#[derive(Default)]
pub(super) struct Ring {
    batches: VecDeque<(Batch, Bytes)>,
    bytes: usize,
    /// How many batches were pushed out.
    gone: u64,
    /// How many lines were in them.
    gone_lines: u64,
}

impl Ring {
    /// What one service may keep in memory: some thousand lines, and with a hundred services
    /// still little.
    pub const BYTES_MAX: usize = 256 * 1024;

    /// Adds a batch; gives how many bytes were pushed out for it.
    pub fn push(&mut self, batch: Batch, bytes: Bytes) -> u64 {
        self.bytes += bytes.len();
        self.batches.push_back((batch, bytes));
        let mut out = 0;
        while self.bytes > Self::BYTES_MAX && self.batches.len() > 1 {
            let Some((batch, bytes)) = self.batches.pop_front() else { break };
            self.bytes -= bytes.len();
            self.gone += 1;
            self.gone_lines += u64::from(batch.lines);
            out += bytes.len() as u64;
        }
        out
    }

    /// How many batches were ever added.
    pub fn count(&self) -> u64 {
        self.gone + self.batches.len() as u64
    }

    /// How many lines are here.
    pub fn lines(&self) -> u64 {
        self.batches.iter().map(|(batch, _)| u64::from(batch.lines)).sum()
    }

    /// How many batches and lines are no longer here.
    pub fn gone(&self) -> (u64, u64) {
        (self.gone, self.gone_lines)
    }

    /// What is here, oldest first.
    pub fn batches(&self) -> impl DoubleEndedIterator<Item = &(Batch, Bytes)> {
        self.batches.iter()
    }
}
