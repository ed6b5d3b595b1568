use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::run_report::OutputSink;
use crate::model::{OutputStream, ProcessExit};

/// The last bytes of a command's output, of both streams in order of arrival. Clones share them.
#[derive(Debug, Clone)]
pub struct OutputTail {
    bytes: Arc<Mutex<VecDeque<u8>>>,
    max: usize,
}

impl OutputTail {
    /// Keeps at most `max` bytes.
    pub fn new(max: usize) -> OutputTail {
        OutputTail { bytes: Arc::default(), max }
    }

    /// Adds output and drops the oldest surplus.
    pub fn add(&self, bytes: &[u8]) {
        // Plain data: valid wherever another holder panicked.
        let mut tail = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        tail.extend(&bytes[bytes.len().saturating_sub(self.max)..]);
        let surplus = tail.len().saturating_sub(self.max);
        tail.drain(..surplus);
    }

    /// Returns what is kept.
    pub fn bytes(&self) -> Vec<u8> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }
}

impl OutputSink for OutputTail {
    fn push(&mut self, _: OutputStream, bytes: &[u8]) {
        self.add(bytes);
    }

    fn closed(&mut self, _: Option<ProcessExit>) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_of_much_output_is_kept() {
        let mut tail = OutputTail::new(2048);
        tail.push(OutputStream::Stdout, &[b'x'; 300_000]);
        tail.push(OutputStream::Stderr, b"the end");
        assert!(tail.bytes().ends_with(b"xthe end") && tail.bytes().len() == 2048);
    }
}
