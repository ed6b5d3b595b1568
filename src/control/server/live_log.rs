use bytes::Bytes;

use super::log_source::{LogBodyReader, LogSource, ndjson};
use crate::control::LogQuery;
use crate::log::{LineFilter, LogReader, StackLog};

impl LogSource for StackLog {
    type Reader = LogReader;

    fn reader(&self, query: &LogQuery) -> LogReader {
        let services = (!query.services.is_empty()).then(|| query.services.clone());
        let last = query.last.unwrap_or(usize::MAX);
        self.search(services, last, query.follow, query.log_filter())
    }
}

impl LogQuery {
    /// Returns the filter that this query asks for.
    pub fn log_filter(&self) -> LineFilter {
        let grep = self.grep.as_ref().map(|pattern| pattern.regex().clone());
        LineFilter { since: self.since, stream: self.stream, grep, narration: self.status_mode }
    }
}

impl LogBodyReader for LogReader {
    async fn next(&mut self) -> Option<Bytes> {
        let mut page = LogReader::next(self).await?;
        let missed = std::mem::take(&mut page.missed);
        Some(ndjson(&missed, page.items()))
    }
}
