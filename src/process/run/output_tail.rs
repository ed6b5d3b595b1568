use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::OutputSink;
use crate::model::{OutputStream, ProcessExit};

/// The last bytes of an output. Clones share them.
#[derive(Debug, Clone)]
pub struct OutputTail {
    limit: usize,
    bytes: Arc<Mutex<VecDeque<u8>>>,
}

impl OutputTail {
    /// Keeps at most `limit` bytes.
    pub fn new(limit: usize) -> OutputTail {
        OutputTail { limit, bytes: Arc::default() }
    }

    /// Adds bytes, and drops as many of the oldest as needed.
    pub fn add(&self, bytes: &[u8]) {
        let mut tail = self.lock();
        tail.extend(&bytes[bytes.len().saturating_sub(self.limit)..]);
        let surplus = tail.len().saturating_sub(self.limit);
        tail.drain(..surplus);
    }

    /// Returns the bytes kept.
    pub fn bytes(&self) -> Vec<u8> {
        self.lock().iter().copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<u8>> {
        // Every update is complete in itself, so a poisoned lock is harmless.
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OutputSink for OutputTail {
    fn push(&mut self, _: OutputStream, bytes: &[u8]) {
        self.add(bytes);
    }

    fn closed(&mut self, _exit: Option<ProcessExit>) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_of_much_output_is_kept() {
        let mut tail = OutputTail::new(2048);
        tail.push(OutputStream::Stdout, &[b'x'; 300_000]);
        tail.push(OutputStream::Stderr, b"the end");
        let kept = tail.bytes();
        assert!(kept.ends_with(b"xthe end") && kept.len() == 2048);
    }
}
