use regex::bytes::Regex;
use tokio::sync::oneshot;

use super::{filter, lines};

/// Patterns awaited in the output of one run, for readiness by log line.
pub(super) struct LinePatterns {
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
        for line in lines::lines(text).skip(usize::from(continues)) {
            if self.waiting.is_empty() {
                return;
            }
            self.match_line(lines::trim_line_end(line));
        }
    }

    fn match_line(&mut self, line: &[u8]) {
        let clean;
        let line = if memchr::memchr(0x1b, line).is_some() {
            clean = filter::strip(line);
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
