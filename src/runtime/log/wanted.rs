use regex::bytes::Regex;

use super::batch::Batch;
use super::{filter, lines};
use crate::model::Stream;

/// Which lines a reader wants.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Lines that were read at this time or later: milliseconds since 1970.
    pub since: Option<i64>,
    /// Lines of this stream.
    pub stream: Option<Stream>,
    /// Lines in which this is found, once escape sequences are taken out. Of a line of more than 64 KiB each piece
    /// counts by itself.
    pub grep: Option<Regex>,
}

impl Wanted {
    /// Whether lines of this batch may be wanted.
    pub(super) fn may_have(&self, batch: &Batch) -> bool {
        self.since.is_none_or(|since| batch.at >= since)
            && self.stream.is_none_or(|stream| batch.stream == stream)
    }

    /// Whether every line of a batch that may have some is wanted.
    pub(super) fn takes_all(&self) -> bool {
        self.grep.is_none()
    }

    /// Whether this line of such a batch is wanted.
    pub(super) fn takes(&self, line: &[u8]) -> bool {
        let Some(grep) = &self.grep else { return true };
        let line = lines::content(line);
        match memchr::memchr(0x1b, line) {
            Some(_) => grep.is_match(filter::strip(line).as_bytes()),
            None => grep.is_match(line),
        }
    }
}
