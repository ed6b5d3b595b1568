use bytes::Bytes;

use super::LogQuery;
use super::log_source::{LogBodyReader, LogSource, ndjson};
use crate::runtime::log::{Logs, Reader, Wanted};

impl LogSource for Logs {
    type Reader = Reader;

    fn reader(&self, query: &LogQuery) -> Reader {
        let services = (!query.services.is_empty()).then(|| query.services.clone());
        let last = query.last.unwrap_or(usize::MAX);
        self.search(services, last, query.follow, query.log_filter())
    }
}

impl LogQuery {
    pub fn log_filter(&self) -> Wanted {
        let grep = self.grep.as_ref().map(|pattern| pattern.regex().clone());
        Wanted { since: self.since, stream: self.stream, grep, narration: self.status_mode }
    }
}

impl LogBodyReader for Reader {
    async fn next(&mut self) -> Option<Bytes> {
        let mut page = Reader::next(self).await?;
        let missed = std::mem::take(&mut page.missed);
        Some(ndjson(&missed, page.items()))
    }
}
