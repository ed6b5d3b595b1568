use regex::bytes::Regex;
use tokio::sync::oneshot;

use crate::log::escape_filter;
use crate::log::line_split;
use crate::log::log_item::LogItem;
use crate::log::read::{LineJoiner, LogReader};
use crate::model::{OutputStream, RunId};

/// Patterns awaited in the output of one run, for readiness by log line.
pub(crate) struct LinePatterns {
    waiting: Vec<(Regex, oneshot::Sender<String>)>,
    long: [LongText; 2],
}

/// The pieces of a long line so far.
#[derive(Default)]
struct LongText {
    bytes: Vec<u8>,
    /// Length at which to search it next. It doubles, so that all searches together stay short.
    next_search: usize,
}

impl LinePatterns {
    /// Returns the patterns, and for each a receiver that fails when the run ends without a match.
    pub fn new(patterns: Vec<Regex>) -> (LinePatterns, Vec<oneshot::Receiver<String>>) {
        let (waiting, found) = patterns
            .into_iter()
            .map(|pattern| {
                let (tell, found) = oneshot::channel();
                ((pattern, tell), found)
            })
            .unzip();
        (LinePatterns { waiting, long: Default::default() }, found)
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Returns whether any receiver still waits.
    pub fn are_awaited(&self) -> bool {
        self.waiting.iter().any(|(_, tell)| !tell.is_closed())
    }

    /// Matches the start of a line whose end has not come.
    pub fn search_start(&mut self, stream: OutputStream, start: &[u8]) {
        let line = [&self.long[stream as usize].bytes, start].concat();
        self.match_line(line_split::trim_line_end(&line));
    }

    /// Matches a line that comes in pieces, at the end and sometimes before. `more`: another piece
    /// follows.
    pub fn search_piece(&mut self, stream: OutputStream, piece: &[u8], more: bool) {
        if !self.are_awaited() {
            self.waiting.clear();
        }
        let mut text = std::mem::take(&mut self.long[stream as usize]);
        let room = LineJoiner::LONGEST.saturating_sub(text.bytes.len());
        text.bytes.extend_from_slice(&piece[..piece.len().min(room)]);
        if room > 0 && (!more || text.bytes.len() >= text.next_search) {
            self.match_line(line_split::trim_line_end(&text.bytes));
            text.next_search = 2 * text.bytes.len();
        }
        if more && !self.waiting.is_empty() {
            self.long[stream as usize] = text;
        }
    }

    /// Matches the lines of a text.
    pub fn search(&mut self, text: &[u8]) {
        self.waiting.retain(|(_, tell)| !tell.is_closed());
        for line in line_split::lines(text) {
            if self.waiting.is_empty() {
                return;
            }
            self.match_line(line_split::trim_line_end(line));
        }
    }

    /// Matches a line, and each part of it that overwrites the one before.
    fn match_line(&mut self, line: &[u8]) {
        self.match_text(line);
        if memchr::memchr(b'\r', line).is_some() {
            line.split(|byte| *byte == b'\r').for_each(|part| self.match_text(part));
        }
    }

    fn match_text(&mut self, line: &[u8]) {
        let clean;
        let line = if memchr::memchr(0x1b, line).is_some() {
            clean = escape_filter::strip(line);
            clean.as_bytes()
        } else {
            line
        };
        for at in (0..self.waiting.len()).rev() {
            if self.waiting[at].0.is_match(line) {
                let (_, tell) = self.waiting.remove(at);
                // The receiver is gone if the run was stopped.
                let _ = tell.send(String::from_utf8_lossy(line).into_owned());
            }
        }
    }

    /// Searches the output of a run as a reader returns it, until everything is found or the log ends.
    pub async fn search_run(mut self, mut reader: LogReader, run: RunId) {
        while self.are_awaited()
            && let Some(items) = reader.next().await
        {
            for item in items {
                if let LogItem::Line(line) = item
                    && line.run == run
                {
                    self.search(&line.line);
                }
            }
        }
    }
}
