use std::borrow::Cow;
use std::convert::Infallible;
use std::io;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Body;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;

use crate::control::ClientError;
use crate::model::{Message, MessageClass};
use crate::text::clean;

/// What the page may do: use its own files, and ask its own server.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

/// In every response.
const HEADERS: [(HeaderName, &str); 7] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

const JSON: &str = "application/json";
const LINES: &str = "application/x-ndjson";

/// The body of a response.
pub(super) type DashboardBody = UnsyncBoxBody<Bytes, Infallible>;

pub(super) type DashboardResponse = Response<DashboardBody>;

/// An error response: status and reason.
#[derive(Debug)]
pub(super) struct DashboardError(pub StatusCode, pub Message);

impl DashboardError {
    pub fn usage(status: StatusCode, text: impl Into<String>) -> DashboardError {
        DashboardError(status, Message::new(MessageClass::Usage, text))
    }

    pub fn internal(what: &str, error: &io::Error) -> DashboardError {
        let text = format!("cannot {what}: {error}");
        DashboardError(StatusCode::BAD_GATEWAY, Message::new(MessageClass::Internal, text))
    }

    pub fn response(&self) -> DashboardResponse {
        #[derive(Serialize)]
        struct ErrorBody<'a> {
            error: &'a Message,
        }
        json(self.0, &ErrorBody { error: &self.1 })
    }
}

impl From<ClientError> for DashboardError {
    fn from(error: ClientError) -> DashboardError {
        let status = match &error {
            ClientError::NotRunning(_) => StatusCode::GONE,
            ClientError::UnknownService(_) => StatusCode::NOT_FOUND,
            ClientError::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
            ClientError::ProtocolMismatch(_) => StatusCode::BAD_GATEWAY,
            ClientError::Denied(_) => StatusCode::FORBIDDEN,
            ClientError::Refused(_) => StatusCode::CONFLICT,
        };
        DashboardError(status, error.message().clone())
    }
}

impl From<Message> for DashboardError {
    fn from(message: Message) -> DashboardError {
        DashboardError(StatusCode::BAD_REQUEST, message)
    }
}

/// Returns a response with a file of the page.
pub(super) fn file(kind: &'static str, text: &'static str) -> DashboardResponse {
    with_headers(StatusCode::OK, kind, Full::new(Bytes::from_static(text.as_bytes())))
}

pub(super) fn json(status: StatusCode, value: &impl Serialize) -> DashboardResponse {
    let text = serde_json::to_vec(value).expect("responses serialize to JSON");
    json_bytes(status, text.into())
}

/// Returns a response with JSON as a stack has sent it.
pub(super) fn json_bytes(status: StatusCode, text: Bytes) -> DashboardResponse {
    with_headers(status, JSON, Full::new(escaped(text)))
}

/// Escapes what a terminal would obey or what hides text. The JSON means the same.
pub(super) fn escaped(json: Bytes) -> Bytes {
    match std::str::from_utf8(&json).map(|text| clean(text, false)) {
        Ok(Cow::Owned(cleaned)) => cleaned.into(),
        Ok(Cow::Borrowed(_)) | Err(_) => json,
    }
}

/// Returns a response with one JSON object per line.
pub(super) fn lines(
    body: impl Body<Data = Bytes, Error = Infallible> + Send + 'static,
) -> DashboardResponse {
    with_headers(StatusCode::OK, LINES, body)
}

fn with_headers(
    status: StatusCode,
    kind: &'static str,
    body: impl Body<Data = Bytes, Error = Infallible> + Send + 'static,
) -> DashboardResponse {
    let mut response = Response::new(body.boxed_unsync());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
