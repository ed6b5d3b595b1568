use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::model::{Name, OutputStream, RunId};

/// One line printed by a service, as in `logs --json` and `GET /v1/logs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// The service that printed it.
    pub service: Name,
    /// The run that printed it.
    pub run: RunId,
    /// The stream it was printed to.
    pub stream: OutputStream,
    /// When it was read, in milliseconds since the Unix epoch.
    #[serde(with = "crate::encoding::json_time")]
    pub at: i64,
    /// Number within the stack, which orders lines even when the clock jumps.
    pub seq: u64,
    /// Bytes of the line, without its end.
    #[serde(flatten, with = "json_bytes")]
    pub line: Vec<u8>,
    /// Continues the previous line of the same stream: lines longer than 16 MiB come in parts.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub continues: bool,
    /// Has no line end: it continues with the next part, or the stream ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub open: bool,
    /// Is the start of a line whose end has not come: the whole line follows. Only for readers that
    /// ask for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unfinished: bool,
}

/// `line` as text, or `line_base64` if it is not UTF-8.
#[derive(Serialize, Deserialize)]
struct LineJson<'a> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    line: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    line_base64: Option<String>,
}

mod json_bytes {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::LineJson;
    use crate::encoding::{from_base64, to_base64};

    pub fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        let text = std::str::from_utf8(bytes).ok();
        let line_base64 = text.is_none().then(|| to_base64(bytes));
        LineJson { line: text.map(Into::into), line_base64 }.serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let LineJson { line, line_base64 } = LineJson::deserialize(from)?;
        let text = line.map(|line| line.into_owned().into_bytes());
        Ok(text.or_else(|| line_base64.as_deref().map(from_base64)).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(line: &[u8]) -> LogLine {
        LogLine {
            service: Name::new("api").unwrap(),
            run: RunId(3),
            stream: OutputStream::Stderr,
            at: 1_763_629_200_120,
            seq: 9,
            line: line.to_vec(),
            continues: false,
            open: false,
            unfinished: false,
        }
    }

    #[test]
    fn a_line_survives_json() {
        for line in ["hi \"there\"".as_bytes(), b"", b"\xff\0"] {
            let line = LogLine { continues: true, ..record(line) };
            let json = serde_json::to_string(&line).unwrap();
            assert_eq!(serde_json::from_str::<LogLine>(&json).unwrap(), line);
        }
    }

    #[test]
    fn a_record_is_one_json_object() {
        insta::assert_snapshot!(
            serde_json::to_string(&record(b"hi \"there\"\0")).unwrap(),
            @r#"{"service":"api","run":3,"stream":"stderr","at":"2025-11-20T09:00:00.120Z","seq":9,"line":"hi \"there\"\u0000"}"#
        );
        let open = LogLine { open: true, ..record(b"\xff\xfe!") };
        insta::assert_snapshot!(
            serde_json::to_string(&open).unwrap(),
            @r#"{"service":"api","run":3,"stream":"stderr","at":"2025-11-20T09:00:00.120Z","seq":9,"line_base64":"//4h","open":true}"#
        );
    }
}
