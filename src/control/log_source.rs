use std::future::Future;

use bytes::Bytes;
use serde::Serialize;

use super::LogQuery;
use crate::runtime::log::Amount;

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

/// One JSON object a line: what is lost before these, unless nothing, and the records. A
/// record that cannot be written as JSON is left out.
pub fn ndjson<R: Serialize>(missed: Amount, records: &[R]) -> Bytes {
    let mut text = Vec::new();
    if !missed.is_zero() {
        let Amount { lines, bytes } = missed;
        let missed = format!("{{\"missed\":{lines},\"bytes\":{bytes}}}\n");
        text.extend_from_slice(missed.as_bytes());
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
