use regex::bytes::Regex;

use super::batch::Batch;
use super::narration::Narration;
use super::spoken::Spoken;
use super::{filter, lines};
use crate::model::{Name, Stream};

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
    /// Whether what devstack itself says is wanted. It is in no stream, and `grep` searches what services print: with
    /// one of these it is left out.
    pub narration: Narration,
}

impl Wanted {
    /// Whether lines of services are wanted at all.
    pub(super) fn has_lines(&self) -> bool {
        self.narration != Narration::Only
    }

    /// Which stored lines of what devstack said are wanted: of those about these services and about
    /// the whole stack when some are named. `None`: not any.
    pub(super) fn of_said(&self, services: Option<&[Name]>) -> Option<Wanted> {
        let wants = self.narration != Narration::Without;
        if !wants || self.stream.is_some() || self.grep.is_some() {
            return None;
        }
        let about = services.map(Spoken::about);
        let grep = about.and_then(|about| Regex::new(&about).ok());
        (grep.is_some() == services.is_some()).then(|| Wanted {
            since: self.since,
            grep,
            ..Wanted::default()
        })
    }

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
