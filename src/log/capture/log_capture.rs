use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use memchr::{memchr, memrchr};

use super::line_patterns::LinePatterns;
use super::raw_chunk::RawChunk;
use crate::log::line_split::{MAX_LINE, char_boundary_cut};
use crate::log::stack_log::StackLogInner;
use crate::log::store::ServiceLog;
use crate::model::{OutputStream, RunId};

/// Captures the output of one run of a service. Ends with [`LogCapture::close`] or when dropped.
pub struct LogCapture {
    pub(crate) inner: Arc<StackLogInner>,
    pub(crate) service_log: Arc<ServiceLog>,
    pub(crate) run: RunId,
    pub(crate) patterns: LinePatterns,
    pub(crate) carries: [PartialLine; 2],
}

/// How long a disk may take before the user is told that a service waits for it.
const PATIENCE: Duration = Duration::from_secs(2);

/// The start of a line whose end has not arrived yet.
#[derive(Default)]
pub(crate) struct PartialLine {
    /// At most [`MAX_LINE`] bytes, none of them a newline.
    bytes: Vec<u8>,
    /// The last stored chunk was a piece of the same line.
    continues: bool,
}

impl LogCapture {
    /// Returns a future that resolves when the disk has caught up enough to take more output;
    /// `None`: it has. [`LogCapture::push`] works in any case, for the rest of an ended stream.
    pub fn full(&self) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> {
        if self.service_log.has_room() {
            return None;
        }
        let (inner, service_log) = (self.inner.clone(), self.service_log.clone());
        Some(Box::pin(async move {
            if tokio::time::timeout(PATIENCE, service_log.room()).await.is_err() {
                inner.notes.disk_stalled(&service_log.origin);
                service_log.room().await;
            }
        }))
    }

    /// Takes bytes in the order they were read. Waits neither for the disk nor for the terminal or
    /// readers.
    pub fn push(&mut self, stream: OutputStream, bytes: &[u8]) {
        for part in bytes.chunks(MAX_LINE) {
            let mut carry = std::mem::take(&mut self.carries[stream as usize]);
            self.split_lines(stream, &mut carry, part);
            self.carries[stream as usize] = carry;
        }
    }

    /// Ends the output: stores a last line without newline and gives up on the patterns.
    pub fn close(&mut self) {
        for stream in [OutputStream::Stdout, OutputStream::Stderr] {
            let carry = std::mem::take(&mut self.carries[stream as usize]);
            if !carry.bytes.is_empty() {
                self.store(stream, carry.continues, true, [&carry.bytes, &[]]);
            }
        }
        self.patterns = LinePatterns::new(Vec::new()).0;
    }

    /// Takes at most [`MAX_LINE`] bytes: only the line that starts in `carry` can be too long.
    fn split_lines(&mut self, stream: OutputStream, carry: &mut PartialLine, bytes: &[u8]) {
        let Some(first) = memchr(b'\n', bytes) else {
            carry.bytes.extend_from_slice(bytes);
            return self.cut_long_line(stream, carry);
        };
        let mut whole = bytes;
        if carry.bytes.len() + first > MAX_LINE {
            carry.bytes.extend_from_slice(&bytes[..first]);
            self.cut_long_line(stream, carry);
            whole = &bytes[first..];
        }
        let last = memrchr(b'\n', whole).expect("`whole` contains the first newline");
        let (lines, rest) = whole.split_at(last + 1);
        self.store(stream, carry.continues, false, [&carry.bytes, lines]);
        carry.continues = false;
        carry.bytes.clear();
        carry.bytes.extend_from_slice(rest);
    }

    fn cut_long_line(&mut self, stream: OutputStream, carry: &mut PartialLine) {
        while carry.bytes.len() > MAX_LINE {
            let at = char_boundary_cut(&carry.bytes);
            self.store(stream, carry.continues, true, [&carry.bytes[..at], &[]]);
            carry.continues = true;
            carry.bytes.drain(..at);
        }
    }

    fn store(&mut self, stream: OutputStream, continues: bool, open: bool, parts: [&[u8]; 2]) {
        if !self.patterns.is_empty() {
            self.search(continues, parts);
        }
        let at = crate::log::stack_log::now();
        let piece = RawChunk { run: self.run, stream, continues, open, at, parts };
        self.inner.store(&self.service_log, &piece);
    }

    fn search(&mut self, continues: bool, [start, lines]: [&[u8]; 2]) {
        if start.is_empty() {
            return self.patterns.search(lines, continues);
        }
        let first = memchr(b'\n', lines).map_or(lines.len(), |at| at + 1);
        self.patterns.search(&[start, &lines[..first]].concat(), continues);
        self.patterns.search(&lines[first..], false);
    }
}

impl Drop for LogCapture {
    fn drop(&mut self) {
        self.close();
    }
}
