use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::line_filter::LineFilter;
use super::log_cursor::ReadStep;
use crate::log::line_split::{self, MAX_LINE};
use crate::log::log_item::LogItem;
use crate::log::log_source::LogSource;
use crate::log::missed_lines::MissedLines;
use crate::log::status_line::StatusLine;
use crate::log::store::LogChunk;

/// What one step of a reader found: first what was missed, then the wanted lines in order. Lines are
/// split when they are taken: one that is waiting costs its bytes, not an object.
#[derive(Default)]
pub struct LogItems {
    missed: MissedLines,
    chunks: VecDeque<LogChunk>,
    /// Index of the next line in the first chunk, and where it begins.
    at: u32,
    offset: usize,
    wanted: Arc<LineFilter>,
    /// Filter for status lines; `None`: the same.
    status: Option<Arc<LineFilter>>,
    /// Ends before the line with this number.
    until: Option<u64>,
}

impl LogItems {
    pub(super) fn of(
        step: ReadStep,
        wanted: &Arc<LineFilter>,
        status: Option<&Arc<LineFilter>>,
        until: Option<u64>,
    ) -> LogItems {
        LogItems {
            missed: step.missed,
            chunks: step.chunks.into(),
            wanted: wanted.clone(),
            status: status.cloned(),
            until,
            ..LogItems::default()
        }
    }

    /// Returns the next item. The text of a line is not in it but beside it, and shares its bytes.
    pub fn next_with_text(&mut self) -> Option<(LogItem, Bytes)> {
        if let Some((service, lost)) = self.missed.pop() {
            let missed = LogItem::Missed { service, missed: lost.lines, bytes: lost.bytes };
            return Some((missed, Bytes::new()));
        }
        while !self.chunks.is_empty() {
            match self.next_line() {
                Some(Some(found)) => return Some(found),
                Some(None) => {}
                None => {
                    self.chunks.pop_front();
                    (self.at, self.offset) = (0, 0);
                }
            }
        }
        None
    }

    /// Takes the next chunk if all of its lines come next and are short.
    pub(super) fn next_whole_chunk(&mut self) -> Option<LogChunk> {
        let is_whole = |chunk: &LogChunk| {
            matches!(chunk.source, LogSource::Service(_))
                && !chunk.is_unfinished()
                && chunk.bytes.len() <= MAX_LINE
                && self.until.is_none_or(|until| chunk.batch.seq_end() <= until)
        };
        let is_next = (self.at, self.offset) == (0, 0)
            && self.missed.is_empty()
            && self.wanted.accepts_all()
            && self.chunks.front().is_some_and(is_whole);
        if is_next { self.chunks.pop_front() } else { None }
    }

    /// Returns the next line of the first chunk if it is wanted; `None` at the end of the chunk.
    fn next_line(&mut self) -> Option<Option<(LogItem, Bytes)>> {
        let chunk = self.chunks.front()?;
        let line = line_split::lines(&chunk.bytes[self.offset..]).next()?;
        let seq = chunk.batch.seq + u64::from(self.at);
        let item = match &chunk.source {
            // The writer may have joined later lines to the last entry.
            _ if self.until.is_some_and(|until| seq >= until) => None,
            LogSource::Service(name) if self.wanted.accepts(line) => {
                let text = chunk.bytes.slice_ref(line_split::trim_line_end(line));
                Some((LogItem::Line(chunk.line(name, self.at, &[])), text))
            }
            LogSource::Devstack if self.status.as_ref().unwrap_or(&self.wanted).accepts(line) => {
                StatusLine::decode(line, seq).map(|line| (LogItem::Status(line), Bytes::new()))
            }
            LogSource::Service(_) | LogSource::Devstack => None,
        };
        (self.at, self.offset) = (self.at + 1, self.offset + line.len());
        Some(item)
    }
}

impl Iterator for LogItems {
    type Item = LogItem;

    fn next(&mut self) -> Option<LogItem> {
        self.next_with_text().map(|(item, text)| item.with_text(&text))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::log::log_size::LogSize;
    use crate::log::store::IndexEntry;
    use crate::model::{Name, OutputStream, RunId};

    #[test]
    fn missed_lines_come_first() {
        let name = |text| Name::new(text).unwrap();
        let mut step = ReadStep::default();
        step.missed.add(Some(&name("api")), LogSize { lines: 12, bytes: 99 });
        step.missed.add(Some(&name("db")), LogSize { lines: 1, bytes: 2 });
        step.missed.add(Some(&name("web")), LogSize::ZERO);
        let bytes = Bytes::from("hi\n");
        let batch = IndexEntry::captured(RunId(3), OutputStream::Stdout, 0, &bytes);
        let chunk = LogChunk { source: LogSource::Service(name("api")), batch, bytes };
        let line = chunk.lines(&name("api")).next().unwrap();
        step.chunks.push(chunk);
        let missed = |service, missed, bytes| LogItem::Missed { service, missed, bytes };
        let items: Vec<LogItem> = LogItems::of(step, &Arc::default(), None, None).collect();
        assert_eq!(
            items,
            [
                missed(Some(name("api")), 12, 99),
                missed(Some(name("db")), 1, 2),
                LogItem::Line(line)
            ]
        );
    }
}
