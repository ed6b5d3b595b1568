use regex::bytes::Regex;
use tokio::sync::oneshot;

use crate::log::format::escape_filter;
use crate::log::line_split;
use crate::log::stack_log::StackLog;
use crate::model::{Name, RunId};

/// Patterns awaited in the output of one run, for readiness by log line.
pub(crate) struct LinePatterns {
    waiting: Vec<(Regex, oneshot::Sender<String>)>,
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
        (LinePatterns { waiting }, found)
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Returns whether any receiver still waits.
    pub fn are_awaited(&self) -> bool {
        self.waiting.iter().any(|(_, tell)| !tell.is_closed())
    }

    /// Matches the lines of a text; with `continues`, skips the first, the rest of a long line.
    pub fn search(&mut self, text: &[u8], continues: bool) {
        for line in line_split::lines(text).skip(usize::from(continues)) {
            if self.waiting.is_empty() {
                return;
            }
            self.match_line(line_split::trim_line_end(line));
        }
    }

    fn match_line(&mut self, line: &[u8]) {
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
}

impl StackLog {
    /// Searches the output of a run that has already started, from its first line on, as
    /// [`StackLog::capture`] does for a new one. A receiver fails when the log ends without a
    /// match. Must be called within a tokio runtime.
    pub fn await_lines(
        &self,
        service: &Name,
        run: RunId,
        patterns: Vec<Regex>,
    ) -> Vec<oneshot::Receiver<String>> {
        let (mut patterns, found) = LinePatterns::new(patterns);
        let mut reader = self.reader(Some(vec![service.clone()]), usize::MAX, true);
        tokio::spawn(async move {
            while patterns.are_awaited()
                && let Some(page) = reader.next().await
            {
                for record in page.records.iter().filter(|record| record.run == run) {
                    patterns.search(&record.line, record.continues);
                }
            }
        });
        found
    }
}
