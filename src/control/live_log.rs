use bytes::Bytes;

use super::LogQuery;
use super::log_source::{LogReader, LogSource, ndjson};
use crate::runtime::log::{Logs, Reader};

/// The log of the running stack.
impl LogSource for Logs {
    type Reader = Reader;

    fn reader(&self, query: &LogQuery) -> Reader {
        let services = (!query.services.is_empty()).then(|| query.services.clone());
        Logs::reader(self, services, query.last.unwrap_or(usize::MAX), query.follow)
    }
}

impl LogReader for Reader {
    async fn next(&mut self) -> Option<Bytes> {
        let page = Reader::next(self).await?;
        Some(ndjson(page.missed, &page.records))
    }
}
