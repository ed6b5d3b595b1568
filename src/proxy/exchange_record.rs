//! A request and its response as data: what `devstack requests` shows.

use serde::{Deserialize, Serialize};

use super::recorded_headers::{RecordedHeaders, is_secret_header};
use crate::model::{Name, RunId};

/// What is shown instead of a secret.
pub const HIDDEN: &str = "(hidden)";

/// A request to a service through the proxy, and what became of it. Times are in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExchangeRecord {
    /// Its number in the stack, from 1 on.
    pub id: u64,
    /// When its head had arrived, in milliseconds since 1970.
    #[serde(with = "crate::encoding::json_time")]
    pub at: i64,
    /// The service that the name belongs to; replicas share it.
    pub service: Name,
    /// The service or replica that responded.
    pub replica: Option<Name>,
    /// The run that responded.
    pub run: Option<RunId>,
    /// The version of HTTP that the client speaks: `HTTP/1.1`.
    pub version: String,
    pub method: String,
    /// `http` or `https`.
    #[serde(default = "plain")]
    pub scheme: String,
    /// The host that the client asked for, with its port.
    pub host: String,
    /// Path and query.
    pub target: String,
    /// The protocol that the connection changed to, such as `websocket`. The sizes of the bodies are
    /// then those of what followed, of which nothing is kept.
    pub upgrade: Option<String>,
    /// The status of the response.
    pub status: Option<u16>,
    /// How it ended; `None`: it has not.
    pub end: Option<ExchangeEnd>,
    /// Why the proxy responded itself, or what was wrong with the response of the service.
    pub error: Option<String>,
    /// How long it waited for the service.
    pub parked_ms: f64,
    /// From its beginning to the head of the response.
    pub first_byte_ms: Option<f64>,
    /// From its beginning to its end.
    pub total_ms: Option<f64>,
    /// The request, as the client sent it.
    pub request: RecordedMessage,
    /// The response, as the client got it.
    pub response: Option<RecordedMessage>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExchangeEnd {
    /// The client got a whole response of the service.
    Done,
    /// The proxy responded itself.
    Refused,
    /// The client closed the connection.
    ClientLeft,
    /// The service did, before the end of the response.
    Broken,
}

/// Headers and body of a request or response.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RecordedMessage {
    /// Names and values, in their order. Bytes that are not UTF-8 are replaced.
    pub headers: RecordedHeaders,
    /// The size of the body, in bytes.
    pub bytes: u64,
    /// Whether the body is kept as a whole.
    pub whole: bool,
    /// The beginning of the body. Empty in lists.
    #[serde(flatten, with = "json_body")]
    pub body: Vec<u8>,
}

fn plain() -> String {
    "http".to_owned()
}

impl ExchangeRecord {
    /// Returns one of which only this is known.
    pub(super) fn new(service: Name, at: i64) -> ExchangeRecord {
        ExchangeRecord {
            id: 0,
            at,
            service,
            replica: None,
            run: None,
            version: String::new(),
            method: String::new(),
            scheme: plain(),
            host: String::new(),
            target: String::new(),
            upgrade: None,
            status: None,
            end: None,
            error: None,
            parked_ms: 0.0,
            first_byte_ms: None,
            total_ms: None,
            request: RecordedMessage::default(),
            response: None,
        }
    }

    /// Returns how much memory its texts and bodies take, in bytes.
    pub(super) fn size(&self) -> usize {
        let texts =
            self.host.len() + self.target.len() + self.error.as_ref().map_or(0, String::len);
        let response = self.response.as_ref().map_or(0, RecordedMessage::size);
        texts + self.request.size() + response
    }

    /// Returns it without bodies, for lists.
    pub fn head(&self) -> ExchangeRecord {
        ExchangeRecord {
            request: self.request.head(),
            response: self.response.as_ref().map(RecordedMessage::head),
            service: self.service.clone(),
            replica: self.replica.clone(),
            version: self.version.clone(),
            method: self.method.clone(),
            scheme: self.scheme.clone(),
            host: self.host.clone(),
            target: self.target.clone(),
            upgrade: self.upgrade.clone(),
            error: self.error.clone(),
            ..*self
        }
    }

    /// Hides the values of headers that are secret.
    pub fn hide_secrets(&mut self) {
        let messages = std::iter::once(&mut self.request).chain(&mut self.response);
        for message in messages {
            let shown = |(name, value)| (name, if is_secret_header(name) { HIDDEN } else { value });
            message.headers = message.headers.iter().map(shown).collect();
        }
    }
}

impl RecordedMessage {
    fn size(&self) -> usize {
        self.headers.size() + self.body.capacity()
    }

    fn head(&self) -> RecordedMessage {
        RecordedMessage { headers: self.headers.clone(), body: Vec::new(), ..*self }
    }

    /// Returns the first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }

    /// Returns the body, or what is kept of it, if it is text.
    pub fn text(&self) -> Option<&str> {
        match std::str::from_utf8(&self.body) {
            Ok(text) => Some(text),
            // Cut within a character.
            Err(error) if !self.whole && error.error_len().is_none() => {
                std::str::from_utf8(&self.body[..error.valid_up_to()]).ok()
            }
            Err(_) => None,
        }
    }
}

/// A body as `body` if it is text, and as `body_base64` otherwise.
mod json_body {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::encoding::{from_base64, to_base64};

    #[derive(Serialize, Deserialize)]
    struct BodyJson<'b> {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        body: Option<std::borrow::Cow<'b, str>>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        body_base64: Option<String>,
    }

    pub fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        let text = std::str::from_utf8(bytes).ok();
        let body_base64 = text.is_none().then(|| to_base64(bytes));
        let body = text.filter(|text| !text.is_empty()).map(Into::into);
        BodyJson { body, body_base64 }.serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let BodyJson { body, body_base64 } = BodyJson::deserialize(from)?;
        let bytes = body_base64.as_deref().map(from_base64);
        Ok(bytes.or_else(|| body.map(|body| body.into_owned().into_bytes())).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(body: &[u8], whole: bool) -> RecordedMessage {
        let headers = [("Set-Cookie", "a=1"), ("x-api-key", "key"), ("accept", "*/*")];
        RecordedMessage {
            headers: headers.into_iter().collect(),
            bytes: body.len() as u64,
            whole,
            body: body.to_vec(),
        }
    }

    #[test]
    fn bodies_are_text_where_they_can_be() {
        for (body, json) in [
            (&b"h\xc3\xa9"[..], r#"{"headers":[],"bytes":3,"whole":true,"body":"hé"}"#),
            (b"\xff", r#"{"headers":[],"bytes":1,"whole":true,"body_base64":"/w=="}"#),
            (b"", r#"{"headers":[],"bytes":0,"whole":true}"#),
        ] {
            let message =
                RecordedMessage { headers: RecordedHeaders::default(), ..message(body, true) };
            assert_eq!(serde_json::to_string(&message).unwrap(), json);
            assert_eq!(serde_json::from_str::<RecordedMessage>(json).unwrap(), message);
        }
    }

    #[test]
    fn a_character_that_is_cut_is_left_out() {
        assert_eq!(message(b"h\xc3", false).text(), Some("h"));
        assert_eq!(message(b"h\xc3", true).text(), None);
        assert_eq!(message(b"h\xffx", false).text(), None);
    }

    #[test]
    fn secrets_are_hidden_in_both_messages() {
        let json = r#"{"id":1,"at":"2026-11-20T09:00:00.120Z","service":"api","version":"HTTP/1.1","method":"GET",
            "host":"api.shop.localhost","target":"/","parked_ms":0.0,
            "request":{"headers":[["AUTHORIZATION","s3cret"],["x-auth-token","t0ken"],["x-request-id","seen"]],"bytes":0,"whole":true}}"#;
        let mut record: ExchangeRecord = serde_json::from_str(json).unwrap();
        record.response = Some(message(b"body", true));
        record.hide_secrets();
        assert_eq!(record.request.header("authorization"), Some(HIDDEN));
        assert_eq!(record.request.header("x-auth-token"), Some(HIDDEN));
        assert_eq!(record.request.header("x-request-id"), Some("seen"));
        let values = record.response.as_ref().unwrap().headers.iter().map(|(_, value)| value);
        assert_eq!(values.collect::<Vec<_>>(), [HIDDEN, HIDDEN, "*/*"]);
        let head = record.head();
        assert_eq!(head.response.as_ref().unwrap().body, b"");
        assert_eq!((head.id, head.at, head.request), (1, record.at, record.request));
    }
}
