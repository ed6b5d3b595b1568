use std::future::Future;

use bytes::Bytes;
use serde::Serialize;

use super::LogQuery;

/// What the server needs of the log: a reader for a query.
pub trait LogSource: Clone + Send + 'static {
    /// What reads.
    type Reader: LogReader;

    /// Starts to read. Dropping the reader ends its subscription.
    fn reader(&self, query: &LogQuery) -> Self::Reader;
}

/// Gives lines as they are asked for, so that a slow client slows nobody but itself.
pub trait LogReader: Send + 'static {
    /// The next lines as JSON objects, each with a line end; `None` after the last one. Waits only
    /// when the query follows.
    fn next(&mut self) -> impl Future<Output = Option<Bytes>> + Send;
}

/// One JSON object a line: how many lines are lost before these, unless none, and the records. A
/// record that cannot be written as JSON is left out.
pub fn ndjson<R: Serialize>(missed: u64, records: &[R]) -> Bytes {
    let mut text = Vec::new();
    if missed > 0 {
        text.extend_from_slice(format!("{{\"missed\":{missed}}}\n").as_bytes());
    }
    for record in records {
        let before = text.len();
        match serde_json::to_writer(&mut text, record) {
            Ok(()) => text.push(b'\n'),
            Err(error) => {
                tracing::warn!(%error, "a log record is not plain data");
                text.truncate(before);
            }
        }
    }
    Bytes::from(text)
}
