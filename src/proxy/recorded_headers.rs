use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Words that names of secret headers are made of: whoever has the value can act as the user.
const WORDS: [&str; 5] = ["auth", "jwt", "key", "keys", "sid"];

/// Parts of such words.
const PARTS: [&str; 16] = [
    "accesskey", "apikey", "authkey", "authorization", "cookie", "credential", "csrf",
    "passphrase", "passwd", "password", "privatekey", "secret", "session", "signature", "token",
    "xsrf",
];

/// Headers of browsers that are named like secrets.
const PLAIN: [&str; 2] = ["sec-websocket-key", "access-control-allow-credentials"];

/// Names and values of headers, in their order. One piece of memory: a thousand exchanges would have
/// tens of thousands of small ones.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RecordedHeaders {
    /// Each name and each value with a line end, which neither can contain.
    text: Box<str>,
}

impl RecordedHeaders {
    /// Copies names and values. Bytes that are not UTF-8 are replaced.
    pub(super) fn copy<'h, I: Iterator<Item = (&'h str, &'h [u8])>>(
        headers: impl Fn() -> I,
    ) -> RecordedHeaders {
        let length = headers().map(|(name, value)| name.len() + value.len() + 2).sum();
        let mut text = String::with_capacity(length);
        for (name, value) in headers() {
            push(&mut text, name, &String::from_utf8_lossy(value));
        }
        RecordedHeaders { text: text.into() }
    }

    /// Returns the names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        let mut lines = self.text.split_terminator('\n');
        std::iter::from_fn(move || Some((lines.next()?, lines.next()?)))
    }

    /// Returns the first value of a header.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Returns how much memory they take, in bytes.
    pub(super) fn size(&self) -> usize {
        self.text.len()
    }
}

fn push(text: &mut String, name: &str, value: &str) {
    for part in [name, value] {
        // Others than HTTP could have one.
        text.extend(part.chars().map(|char| if char == '\n' { ' ' } else { char }));
        text.push('\n');
    }
}

impl<'h> FromIterator<(&'h str, &'h str)> for RecordedHeaders {
    fn from_iter<I: IntoIterator<Item = (&'h str, &'h str)>>(headers: I) -> RecordedHeaders {
        let mut text = String::new();
        headers.into_iter().for_each(|(name, value)| push(&mut text, name, value));
        RecordedHeaders { text: text.into() }
    }
}

impl fmt::Debug for RecordedHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl Serialize for RecordedHeaders {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for RecordedHeaders {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<RecordedHeaders, D::Error> {
        let headers: Vec<(String, String)> = Vec::deserialize(from)?;
        Ok(headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect())
    }
}

pub(super) fn is_secret_header(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let mut words = name.split(|c: char| !c.is_ascii_alphanumeric());
    !PLAIN.contains(&&*name)
        && words.any(|word| WORDS.contains(&word) || PARTS.iter().any(|part| word.contains(part)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_headers_are_known_by_their_names() {
        for name in [
            "AUTHORIZATION",
            "Proxy-Authorization",
            "cookie",
            "Set-Cookie",
            "x-api-key",
            "apikey",
            "X-Auth-Token",
            "x-auth",
            "X-CSRFToken",
            "x-xsrf-token",
            "X-Amz-Security-Token",
            "X-Hub-Signature-256",
            "stripe-signature",
            "x-session-id",
            "X_Client_Secret",
            "x-user-password",
            "Ocp-Apim-Subscription-Key",
            "x-goog-iap-jwt-assertion",
        ] {
            assert!(is_secret_header(name), "{name}");
        }
        for name in [
            "accept",
            "content-type",
            "host",
            "keep-alive",
            "x-keyboard-layout",
            "www-authenticate",
            "author",
            "x-request-id",
            "Sec-WebSocket-Key",
            "sec-websocket-accept",
            "Access-Control-Allow-Credentials",
            "traceparent",
            "etag",
        ] {
            assert!(!is_secret_header(name), "{name}");
        }
    }

    #[test]
    fn headers_keep_their_order_and_take_the_memory_of_their_text() {
        let pairs: [(&str, &[u8]); 4] =
            [("b", b"1"), ("a", b""), ("b", b"x: y"), ("a", b"\xff\t\xc3\xa9")];
        let headers = RecordedHeaders::copy(|| pairs.into_iter());
        let expected = [("b", "1"), ("a", ""), ("b", "x: y"), ("a", "\u{fffd}\té")];
        assert_eq!(headers.iter().collect::<Vec<_>>(), expected);
        let size: usize = expected.iter().map(|(a, b)| a.len() + b.len() + 2).sum();
        assert_eq!(headers.size(), size);
        assert_eq!(
            (headers.get("B"), headers.get("A"), headers.get("c")),
            (Some("1"), Some(""), None)
        );
        let json = r#"[["b","1"],["a",""],["b","x: y"],["a","�\té"]]"#;
        assert_eq!(serde_json::to_string(&headers).unwrap(), json);
        assert_eq!(serde_json::from_str::<RecordedHeaders>(json).unwrap(), headers);
        assert_eq!(RecordedHeaders::default().iter().count(), 0);
    }

    #[test]
    fn a_line_end_from_elsewhere_divides_nothing() {
        let headers: RecordedHeaders = [("a\n", "b\nc\nd")].into_iter().collect();
        assert_eq!(headers.iter().collect::<Vec<_>>(), [("a ", "b c d")]);
    }
}
