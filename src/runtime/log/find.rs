use regex::bytes::Regex;
use tokio::sync::oneshot;

use super::logs::StackLog;
use super::pattern::LinePatterns;
use crate::model::{Name, RunId};

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
