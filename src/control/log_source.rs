use std::future::Future;

use bytes::Bytes;
use serde::Serialize;

use super::{LogItem, LogQuery};
use crate::runtime::log::Missed;

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

/// One JSON object a line: what is lost before these, one for each service, and the records. A
/// record that cannot be written as JSON is left out.
pub fn ndjson(missed: &Missed, records: impl IntoIterator<Item: Serialize>) -> Bytes {
    let mut text = Vec::new();
    for item in lost(missed) {
        object(&item, &mut text);
    }
    for record in records {
        object(&record, &mut text);
    }
    Bytes::from(text)
}

/// What is lost, as items of a log.
pub fn lost(missed: &Missed) -> impl Iterator<Item = LogItem> {
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
