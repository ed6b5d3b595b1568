use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Frame;
use hyper::header::{HeaderMap, UPGRADE};
use hyper::{Method, Request, Response, StatusCode, Uri, Version};
use tokio::time::Instant;

use super::exchange_record::{ExchangeEnd, ExchangeRecord, RecordedMessage};
use super::exchange_ring::ExchangeRing;
use super::forward_request::ForwardRequest;
use super::recording::{MessageSide, Recording, copies};
use super::refusal::Refusal;
use super::response_body::ResponseBody;
use super::route::Route;
use super::upstream::InFlight;

/// A request and its response, from the head of the request to the end of the body of the response.
/// All that is known about it comes together here.
pub(super) struct Exchange {
    scheme: &'static str,
    version: Version,
    method: Method,
    target: Uri,
    begun: Instant,
    recording: Option<Recording>,
    answer: ExchangeAnswer,
}

/// What became of a request.
enum ExchangeAnswer {
    /// Nothing yet. Dropped like this, the client has left.
    None,
    /// The proxy itself responded.
    Refused(StatusCode, String),
    /// A service responded, or is still doing so.
    Streamed {
        status: StatusCode,
        /// From the beginning to the head of the response.
        after: Duration,
        in_flight: InFlight,
        /// Whether the body was passed on to its end.
        whole: bool,
        /// Why the body is not whole.
        error: Option<String>,
    },
}

impl Exchange {
    /// Begins with the head of a request.
    pub fn new<B>(request: &Request<B>, scheme: &'static str) -> Exchange {
        let (version, method) = (request.version(), request.method().clone());
        let target = request.uri().clone();
        let (begun, answer) = (Instant::now(), ExchangeAnswer::None);
        Exchange { scheme, version, method, target, begun, recording: None, answer }
    }

    /// The request is for this route: from now on it is recorded in `ring`, if there is one.
    pub fn routed(
        &mut self,
        request: &ForwardRequest,
        route: &Route,
        ring: Option<Rc<ExchangeRing>>,
    ) {
        let (Some(ring), None) = (ring, &self.recording) else { return };
        let now = jiff::Timestamp::now().as_millisecond();
        let record = ExchangeRecord {
            version: format!("{:?}", self.version),
            method: self.method.to_string(),
            scheme: self.scheme.to_owned(),
            host: request.host.authority.to_string(),
            target: self.target.path_and_query().map_or("/", |target| target.as_str()).to_owned(),
            request: RecordedMessage {
                headers: copies(&request.headers),
                ..RecordedMessage::default()
            },
            ..ExchangeRecord::new(route.service.clone(), now)
        };
        let recording = ring.begin(record, route.stack.bodies.unwrap_or_default());
        request.record(recording.clone());
        self.recording = Some(recording);
    }

    pub fn recording(&self) -> Option<&Recording> {
        self.recording.as_ref()
    }

    /// The proxy itself responds.
    pub fn refused(&mut self, refusal: &Refusal, response: &Response<ResponseBody>) {
        if let Some(recording) = &self.recording {
            recording.answered(response.status().as_u16(), response.headers(), None, None);
            let text = response.body().text();
            let frame = Ok::<_, hyper::Error>(Frame::data(text));
            recording.passed(MessageSide::Response, Some(&frame), true);
        }
        self.answer = ExchangeAnswer::Refused(refusal.status, refusal.message.text.clone());
    }

    /// A service has sent the head of its response.
    pub fn answered(&mut self, status: StatusCode, headers: &HeaderMap, in_flight: InFlight) {
        if let Some(recording) = &self.recording {
            let upgraded = status == StatusCode::SWITCHING_PROTOCOLS;
            let upgrade = headers.get(UPGRADE).filter(|_| upgraded);
            let upgrade = upgrade.and_then(|protocol| protocol.to_str().ok());
            let upstream = &in_flight.upstream().id;
            recording.answered(status.as_u16(), headers, Some(upstream), upgrade);
        }
        let after = self.begun.elapsed();
        self.answer =
            ExchangeAnswer::Streamed { status, after, in_flight, whole: false, error: None };
    }

    /// A part of the body of the response is passed on; `None`: there is nothing more. `last`: whether
    /// nothing follows.
    pub fn passed(&mut self, frame: Option<&Result<Frame<Bytes>, hyper::Error>>, last: bool) {
        if let Some(recording) = &self.recording {
            recording.passed(MessageSide::Response, frame, last);
        }
        if let ExchangeAnswer::Streamed { whole, error, .. } = &mut self.answer {
            match frame {
                Some(Err(reason)) => *error = Some(reason.to_string()),
                Some(Ok(_)) => *whole |= last,
                None => *whole = error.is_none(),
            }
        }
    }

    /// The connections that the response has made a tunnel are closed.
    pub fn closed(&mut self) {
        if let ExchangeAnswer::Streamed { whole, .. } = &mut self.answer {
            *whole = true;
        }
    }

    fn end(&self) -> (ExchangeEnd, Option<&str>) {
        match &self.answer {
            ExchangeAnswer::None => (ExchangeEnd::ClientLeft, None),
            ExchangeAnswer::Refused(_, error) => (ExchangeEnd::Refused, Some(error)),
            ExchangeAnswer::Streamed { error: Some(error), .. } => {
                (ExchangeEnd::Broken, Some(error))
            }
            ExchangeAnswer::Streamed { whole: true, .. } => (ExchangeEnd::Done, None),
            ExchangeAnswer::Streamed { whole: false, .. } => (ExchangeEnd::ClientLeft, None),
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if let Some(recording) = &self.recording {
            let (end, error) = self.end();
            recording.end(end, error);
        }
        let (method, path, whole) = (&self.method, self.target.path(), self.begun.elapsed());
        match &self.answer {
            ExchangeAnswer::None => tracing::debug!(%method, path, ?whole, "the client left"),
            ExchangeAnswer::Refused(status, _) => {
                tracing::debug!(%method, path, %status, ?whole, "refused");
            }
            ExchangeAnswer::Streamed { status, after, in_flight, error, .. } => {
                let upstream = &in_flight.upstream().id;
                let (service, run) = (upstream.service.as_str(), upstream.run);
                let error = error.as_deref().unwrap_or_default();
                tracing::debug!(%method, path, %status, service, ?run, ?after, ?whole, error, "answered");
            }
        }
    }
}
