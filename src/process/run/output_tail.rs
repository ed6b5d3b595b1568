use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use super::output_sink::OutputSink;
use crate::model::{OutputStream, ProcessExit};
use crate::sync::lock_unpoisoned;

/// The last bytes of an output, as they came. Clones share them: one is the sink.
#[derive(Debug, Clone)]
pub(crate) struct OutputTail {
    limit: usize,
    bytes: Arc<Mutex<VecDeque<u8>>>,
}

impl OutputTail {
    /// Keeps at most `limit` bytes.
    pub fn new(limit: usize) -> OutputTail {
        OutputTail { limit, bytes: Arc::default() }
    }

    /// Returns what it has now.
    pub fn bytes(&self) -> Vec<u8> {
        lock_unpoisoned(&self.bytes).iter().copied().collect()
    }
}

impl OutputSink for OutputTail {
    fn push(&mut self, _stream: OutputStream, bytes: &[u8]) {
        let mut tail = lock_unpoisoned(&self.bytes);
        tail.extend(&bytes[bytes.len().saturating_sub(self.limit)..]);
        let surplus = tail.len().saturating_sub(self.limit);
        tail.drain(..surplus);
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
        tail.clone().push(OutputStream::Stderr, b"the end");
        let kept = tail.bytes();
        assert!(kept.ends_with(b"xthe end") && kept.len() == 2048);
    }
}
