use bytes::Bytes;

use crate::log::line_split;
use crate::log::status_line::{StatusLine, StatusText, StatusTone};
use crate::log::store::LogChunk;

/// Lines that were held back while the terminal showed something else: most of them are printed
/// when it is given back, the rest is only counted.
pub(super) struct PrintBacklog {
    /// Number of the first line after them.
    before: u64,
    /// How many may still be printed.
    left: u64,
    /// How many were not printed.
    skipped: u64,
    /// Number of the next line.
    next: u64,
    at: i64,
}

/// Most lines that are printed at once.
const MOST_LINES: u64 = 10_000;

impl PrintBacklog {
    pub fn until(before: u64) -> PrintBacklog {
        PrintBacklog { before, left: MOST_LINES, skipped: 0, next: 0, at: 0 }
    }

    /// Returns whether this chunk comes after them.
    pub fn is_over(&self, chunk: &LogChunk) -> bool {
        chunk.batch.seq >= self.before
    }

    /// Returns whether no more of them may be printed.
    pub fn is_full(&self) -> bool {
        self.left == 0
    }

    /// Returns what may be printed of a chunk, and counts the rest.
    pub fn shorten(&mut self, chunk: LogChunk) -> Option<LogChunk> {
        let lines = u64::from(chunk.batch.lines);
        let taken = lines.min(self.left);
        self.at = chunk.batch.at;
        self.next = chunk.batch.seq + lines;
        if chunk.is_unfinished() {
            return (self.left > 0).then_some(chunk);
        }
        self.left -= taken;
        self.skipped += lines - taken;
        match taken {
            0 => None,
            _ if taken == lines => Some(chunk),
            _ => Some(first_lines(chunk, taken)),
        }
    }

    /// Counts all lines before this number as not printed.
    pub fn skip_to(&mut self, before: u64) {
        self.skipped += before.saturating_sub(self.next);
        self.next = self.next.max(before);
    }

    /// Returns what is printed in place of the rest; `None` if all were printed.
    pub fn message(&self) -> Option<StatusLine> {
        let text = format!("… {} more lines: devstack logs", grouped(self.skipped));
        let text = StatusText::stack_wide(StatusTone::Notice, text);
        (self.skipped > 0).then_some(StatusLine { text, at: self.at, seq: None })
    }
}

fn first_lines(mut chunk: LogChunk, lines: u64) -> LogChunk {
    let len: usize = line_split::lines(&chunk.bytes).take(lines as usize).map(<[u8]>::len).sum();
    chunk.bytes = Bytes::copy_from_slice(&chunk.bytes[..len]);
    chunk.batch.len = u32::try_from(len).expect("no longer than before");
    chunk.batch.lines = u32::try_from(lines).expect("fewer than before");
    (chunk.batch.open, chunk.batch.more) = (false, false);
    chunk
}

/// Groups digits: `52,000`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped() {
        let all = [0, 999, 1000, 52_000, 1_234_567].map(grouped);
        assert_eq!(all, ["0", "999", "1,000", "52,000", "1,234,567"]);
    }
}
