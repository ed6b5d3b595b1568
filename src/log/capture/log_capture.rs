use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use memchr::{memchr, memrchr};
use tokio::time::Instant;

use super::line_patterns::LinePatterns;
use crate::log::line_split::{MAX_LINE, char_boundary_cut};
use crate::log::shared::{SharedLog, unix_millis};
use crate::log::store::{IndexEntry, ServiceLog};
use crate::model::{OutputStream, RunId};

/// Captures the output of one run of a service. Ends with [`LogCapture::close`] or when dropped.
pub struct LogCapture {
    pub(crate) inner: Arc<SharedLog>,
    pub(crate) service_log: Arc<ServiceLog>,
    pub(crate) run: RunId,
    pub(crate) patterns: LinePatterns,
    pub(crate) carries: [PartialLine; 2],
}

/// How long a disk may take before the user is told that a service waits for it.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long a stream is quiet before the start of a line is shown without its end: a prompt.
const QUIET: Duration = Duration::from_millis(100);

/// The start of a line whose end has not arrived yet.
#[derive(Default)]
pub(crate) struct PartialLine {
    /// At most [`MAX_LINE`] bytes, none of them a newline.
    bytes: Vec<u8>,
    /// The last stored chunk was a piece of the same line.
    continues: bool,
    /// When to show it; `None`: there is nothing new to show.
    show_at: Option<Instant>,
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
                inner.notes.disk_stalled(&service_log.source);
                service_log.room().await;
            }
        }))
    }

    /// Takes bytes in the order they were read. Waits neither for the disk nor for the terminal or
    /// readers.
    pub fn push(&mut self, stream: OutputStream, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let mut carry = std::mem::take(&mut self.carries[stream as usize]);
        for part in bytes.chunks(MAX_LINE) {
            self.split_lines(stream, &mut carry, part);
        }
        carry.show_at = (!carry.bytes.is_empty()).then(|| Instant::now() + QUIET);
        self.carries[stream as usize] = carry;
    }

    /// Returns when to call [`LogCapture::quiet`], unless more output comes before.
    pub fn quiet_at(&self) -> Option<Instant> {
        self.carries.iter().filter_map(|carry| carry.show_at).min()
    }

    /// Shows the starts of lines whose streams are quiet now, and matches them with the patterns. They
    /// are stored once they are complete.
    pub fn quiet(&mut self, now: Instant) {
        for stream in [OutputStream::Stdout, OutputStream::Stderr] {
            let carry = &mut self.carries[stream as usize];
            if carry.show_at.take_if(|at| *at <= now).is_none() {
                continue;
            }
            if !self.patterns.is_empty() {
                self.patterns.search_start(stream, &carry.bytes);
            }
            // A piece of 64 KiB of a longer line is no question.
            if !carry.continues {
                let bytes = Bytes::copy_from_slice(&carry.bytes);
                let start = IndexEntry::captured(self.run, stream, unix_millis(), &bytes);
                self.inner.show_unfinished(&self.service_log, start, bytes);
            }
        }
    }

    /// Ends the output: stores a last line without newline and gives up on the patterns.
    pub fn close(&mut self) {
        for stream in [OutputStream::Stdout, OutputStream::Stderr] {
            let carry = std::mem::take(&mut self.carries[stream as usize]);
            if !carry.bytes.is_empty() {
                self.store(stream, carry.continues, false, [&carry.bytes, &[]]);
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

    /// `more`: the last line is too long and goes on.
    fn store(&mut self, stream: OutputStream, continues: bool, more: bool, parts: [&[u8]; 2]) {
        if !self.patterns.is_empty() {
            self.search(stream, continues || more, more, parts);
        }
        let bytes = Bytes::from(parts.concat());
        let entry = IndexEntry::captured(self.run, stream, unix_millis(), &bytes);
        self.inner.store(&self.service_log, IndexEntry { continues, more, ..entry }, bytes);
    }

    /// `is_long`: the first line is a piece of a long one, and `more` of it follows.
    fn search(
        &mut self,
        stream: OutputStream,
        is_long: bool,
        more: bool,
        [start, lines]: [&[u8]; 2],
    ) {
        let first = memchr(b'\n', lines).map_or(lines.len(), |at| at + 1);
        if is_long {
            self.patterns.search_piece(stream, &[start, &lines[..first]].concat(), more);
        } else if !start.is_empty() {
            self.patterns.search(&[start, &lines[..first]].concat());
        } else {
            return self.patterns.search(lines);
        }
        self.patterns.search(&lines[first..]);
    }
}

impl Drop for LogCapture {
    fn drop(&mut self) {
        self.close();
    }
}
