use bytes::Bytes;

use super::LogReader;
use crate::runtime::feed::Events;

/// What an answer reads that goes on for as long as the client likes.
pub(super) enum LineReader<R> {
    /// The log.
    Log(R),
    /// What happens.
    Events(Events),
}

impl<R: LogReader> LogReader for LineReader<R> {
    async fn next(&mut self) -> Option<Bytes> {
        match self {
            LineReader::Log(reader) => reader.next().await,
            LineReader::Events(events) => events.next().await,
        }
    }
}
