use std::rc::Rc;

use bytes::Bytes;
use hyper::body::Frame;
use hyper::header::HeaderMap;
use tokio::time::Instant;

use super::exchange_record::{ExchangeEnd, ExchangeRecord, RecordedMessage};
use super::exchange_ring::ExchangeRing;
use super::recorded_headers::RecordedHeaders;
use super::route::UpstreamId;

/// Where one exchange is written down as it proceeds. Never waits; what does not fit is not kept.
#[derive(Clone)]
pub(super) struct Recording {
    ring: Rc<ExchangeRing>,
    id: u64,
    /// How much is kept of each body, in bytes.
    bodies: usize,
    begun: Instant,
}

/// Which message of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MessageSide {
    Request,
    Response,
}

impl Recording {
    pub fn new(ring: Rc<ExchangeRing>, id: u64, bodies: usize) -> Recording {
        Recording { ring, id, bodies, begun: Instant::now() }
    }

    fn change(&self, change: impl FnOnce(&mut ExchangeRecord)) {
        self.ring.change(self.id, change);
    }

    fn message(&self, side: MessageSide, change: impl FnOnce(&mut RecordedMessage)) {
        self.change(|record| match side {
            MessageSide::Request => change(&mut record.request),
            MessageSide::Response => change(record.response.get_or_insert_default()),
        });
    }

    fn since_begin(&self) -> f64 {
        milliseconds(self.begun, Instant::now())
    }

    /// Counts the time until the result is dropped as waiting.
    pub fn wait(&self) -> RecordedWait<'_> {
        RecordedWait { recording: self, since: Instant::now() }
    }

    /// The head of a response is there: of a run or, without one, of the proxy.
    pub fn answered(
        &self,
        status: u16,
        headers: &HeaderMap,
        upstream: Option<&UpstreamId>,
        upgrade: Option<&str>,
    ) {
        let first_byte_ms = self.since_begin();
        self.change(|record| {
            record.status = Some(status);
            record.first_byte_ms = Some(first_byte_ms);
            record.replica = upstream.map(|upstream| upstream.service.clone());
            record.run = upstream.and_then(|upstream| upstream.run);
            record.upgrade = upgrade.map(str::to_owned);
            record.response =
                Some(RecordedMessage { headers: copies(headers), ..RecordedMessage::default() });
        });
    }

    /// Takes note of a part of a body. `last`: whether nothing follows.
    pub fn passed<E>(
        &self,
        side: MessageSide,
        frame: Option<&Result<Frame<Bytes>, E>>,
        last: bool,
    ) {
        match frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    self.data(side, data);
                }
            }
            Some(Err(_)) => return,
            None => {}
        }
        if last || frame.is_none() {
            self.message(side, |message| {
                message.whole = message.body.len() as u64 == message.bytes
            });
        }
    }

    fn data(&self, side: MessageSide, data: &[u8]) {
        self.message(side, |message| {
            let room = self.bodies.saturating_sub(message.body.len());
            // Not after a part that is missing.
            if message.body.len() as u64 == message.bytes {
                message.body.extend_from_slice(&data[..data.len().min(room)]);
            }
            message.bytes += data.len() as u64;
        });
    }

    #[cfg(test)]
    pub fn request_data(&self, data: &[u8]) {
        self.data(MessageSide::Request, data);
    }

    /// Counts bytes after an upgrade.
    pub fn count(&self, side: MessageSide, bytes: usize) {
        self.message(side, |message| message.bytes += bytes as u64);
    }

    /// The exchange is over.
    pub fn end(&self, end: ExchangeEnd, error: Option<&str>) {
        let total_ms = self.since_begin();
        self.change(|record| {
            record.end = Some(end);
            record.error = error.map(str::to_owned);
            record.total_ms = Some(total_ms);
        });
        self.ring.ended(self.id);
    }
}

/// A request that waits.
pub(super) struct RecordedWait<'r> {
    recording: &'r Recording,
    since: Instant,
}

impl Drop for RecordedWait<'_> {
    fn drop(&mut self) {
        let waited = milliseconds(self.since, Instant::now());
        self.recording.change(|record| record.parked_ms = round(record.parked_ms + waited));
    }
}

/// Returns copies: slices would keep whole buffers of connections alive.
pub(super) fn copies(headers: &HeaderMap) -> RecordedHeaders {
    let texts = || headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    RecordedHeaders::copy(texts)
}

/// With three digits: a microsecond is exact enough.
fn milliseconds(from: Instant, to: Instant) -> f64 {
    (to - from).as_micros() as f64 / 1000.0
}

/// Returns a sum of such times without what adding them has made up.
fn round(milliseconds: f64) -> f64 {
    (milliseconds * 1000.0).round() / 1000.0
}
