use bytes::Bytes;

use crate::control::LogBodyReader;
use crate::supervisor::feed::FeedReader;

/// Source of a streamed response.
pub(super) enum LineReader<R> {
    Log(R),
    Events(FeedReader),
}

impl<R: LogBodyReader> LogBodyReader for LineReader<R> {
    async fn next(&mut self) -> Option<Bytes> {
        match self {
            LineReader::Log(reader) => reader.next().await,
            LineReader::Events(events) => events.next().await,
        }
    }
}
