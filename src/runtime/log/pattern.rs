use regex::bytes::Regex;
use tokio::sync::oneshot;

use super::{filter, lines};

/// Patterns that somebody waits for in the output of one run: readiness by log line.
pub(super) struct Patterns {
    waiting: Vec<(Regex, oneshot::Sender<String>)>,
}

impl Patterns {
    /// The patterns, and for each what receives the first line that matches. A receiver fails when
    /// the run ends without such a line.
    pub fn new(patterns: Vec<Regex>) -> (Patterns, Vec<oneshot::Receiver<String>>) {
        let (waiting, found) = patterns
            .into_iter()
            .map(|pattern| {
                let (tell, found) = oneshot::channel();
                ((pattern, tell), found)
            })
            .unzip();
        (Patterns { waiting }, found)
    }

    /// Whether nobody waits any more.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether somebody waits who still wants to know.
    pub fn are_awaited(&self) -> bool {
        self.waiting.iter().any(|(_, tell)| !tell.is_closed())
    }

    /// Compares the lines of a text; the first is left out when `continues`, being the rest of a long line.
    pub fn search(&mut self, text: &[u8], continues: bool) {
        for line in lines::lines(text).skip(usize::from(continues)) {
            if self.waiting.is_empty() {
                return;
            }
            self.compare(lines::content(line));
        }
    }

    fn compare(&mut self, line: &[u8]) {
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
                // Who no longer waits (the run was stopped) needs no answer.
                let _ = tell.send(String::from_utf8_lossy(line).into_owned());
            }
        }
    }
}
