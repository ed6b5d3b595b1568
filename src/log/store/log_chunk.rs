use bytes::Bytes;

use super::index_entry::IndexEntry;
use crate::log::line_split;
use crate::log::log_line::LogLine;
use crate::log::log_origin::LogOrigin;
use crate::log::log_size::LogSize;
use crate::model::Name;

/// Numbered lines of one stream with their index entry. Cheap to clone: printer and writer share
/// the bytes.
#[derive(Clone)]
pub(crate) struct LogChunk {
    pub origin: LogOrigin,
    pub batch: IndexEntry,
    pub bytes: Bytes,
}

impl LogChunk {
    pub fn amount(&self) -> LogSize {
        LogSize { lines: self.batch.lines.into(), bytes: self.bytes.len() as u64 }
    }

    /// Returns the lines, as printed by `service`.
    pub fn lines<'a>(&'a self, service: &'a Name) -> impl Iterator<Item = LogLine> + 'a {
        let last = self.batch.lines.saturating_sub(1) as usize;
        line_split::lines(&self.bytes).enumerate().map(move |(at, line)| LogLine {
            service: service.clone(),
            run: self.batch.run,
            stream: self.batch.stream,
            at: self.batch.at,
            seq: self.batch.seq + at as u64,
            line: line_split::trim_line_end(line).to_vec(),
            continues: at == 0 && self.batch.continues,
            open: at == last && self.batch.open,
        })
    }
}
