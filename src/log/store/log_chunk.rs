use bytes::Bytes;

use super::index_entry::IndexEntry;
use crate::log::line_split;
use crate::log::log_line::LogLine;
use crate::log::log_size::LogSize;
use crate::log::log_source::LogSource;
use crate::model::Name;

/// Numbered lines of one stream with their index entry. Cheap to clone: printer and writer share
/// the bytes.
#[derive(Clone)]
pub(crate) struct LogChunk {
    pub source: LogSource,
    pub batch: IndexEntry,
    pub bytes: Bytes,
}

impl LogChunk {
    /// Returns whether this is the start of a line that is not complete and not stored yet. It has
    /// no number: its whole line follows.
    pub fn is_unfinished(&self) -> bool {
        self.batch.lines == 0
    }

    pub fn amount(&self) -> LogSize {
        LogSize { lines: self.batch.lines.into(), bytes: self.bytes.len() as u64 }
    }

    /// Returns the line with the index `at` of this chunk, as printed by `service`.
    pub fn line(&self, service: &Name, at: u32, line: &[u8]) -> LogLine {
        LogLine {
            service: service.clone(),
            run: self.batch.run,
            stream: self.batch.stream,
            at: self.batch.at,
            seq: self.batch.seq + u64::from(at),
            line: line_split::trim_line_end(line).to_vec(),
            continues: at == 0 && self.batch.continues,
            open: at == self.batch.lines.saturating_sub(1) && self.batch.open,
            unfinished: self.is_unfinished(),
        }
    }

    /// Returns the lines, as printed by `service`.
    pub fn lines<'a>(&'a self, service: &'a Name) -> impl Iterator<Item = LogLine> + 'a {
        (0..)
            .zip(line_split::lines(&self.bytes))
            .map(move |(at, line)| self.line(service, at, line))
    }
}
