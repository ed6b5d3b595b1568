use std::future::Future;

use bytes::Bytes;
use serde::Serialize;

use crate::control::{LogItem, LogQuery};
use crate::log::MissedLines;

/// Source of log readers, as the server needs it.
pub trait LogSource: Clone + Send + 'static {
    /// Reader of the log.
    type Reader: LogBodyReader;

    /// Starts reading. Dropping the reader ends its subscription.
    fn reader(&self, query: &LogQuery) -> Self::Reader;
}

/// Returns lines on demand, so that a slow client delays only itself.
pub trait LogBodyReader: Send + 'static {
    /// Returns the next lines as JSON objects with newlines; `None` at the end. Waits only if the
    /// query follows.
    fn next(&mut self) -> impl Future<Output = Option<Bytes>> + Send;
}

/// Formats one JSON object per line: missed lines of each service, then the records, without those
/// that cannot be serialized.
pub fn ndjson(missed: &MissedLines, records: impl IntoIterator<Item: Serialize>) -> Bytes {
    let mut text = Vec::new();
    for item in missed_items(missed) {
        object(&item, &mut text);
    }
    for record in records {
        object(&record, &mut text);
    }
    Bytes::from(text)
}

/// Converts missed lines to log items.
pub fn missed_items(missed: &MissedLines) -> impl Iterator<Item = LogItem> {
    missed.iter().map(|(service, lost)| LogItem::Missed {
        service: service.cloned(),
        missed: lost.lines,
        bytes: lost.bytes,
    })
}

fn object(what: &impl Serialize, text: &mut Vec<u8>) {
    let before = text.len();
    match serde_json::to_writer(&mut *text, what) {
        Ok(()) => text.push(b'\n'),
        Err(error) => {
            tracing::warn!(%error, "a log record is not plain data");
            text.truncate(before);
        }
    }
}
