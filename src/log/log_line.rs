use serde::ser::{Serialize, SerializeStruct, Serializer};

use crate::model::{Name, OutputStream, RunId, to_base64};

/// One line printed by a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// The service that printed it.
    pub service: Name,
    /// The run that printed it.
    pub run: RunId,
    /// The stream it was printed to.
    pub stream: OutputStream,
    /// When it was read, in milliseconds since the Unix epoch.
    pub at: i64,
    /// Number within the stack, which orders lines even when the clock jumps.
    pub seq: u64,
    /// Bytes of the line, without its end.
    pub line: Vec<u8>,
    /// Continues the previous line of the same stream: lines longer than 64 KiB come in pieces.
    pub continues: bool,
    /// Has no line end: it continues with the next piece, or the stream ended.
    pub open: bool,
}

/// As `logs --json` prints it: `line` as text, or `line_base64` if it is not UTF-8. `continues` and
/// `open` are omitted when false.
impl Serialize for LogLine {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let flags = usize::from(self.continues) + usize::from(self.open);
        let mut object = to.serialize_struct("Record", 6 + flags)?;
        object.serialize_field("service", &self.service)?;
        object.serialize_field("run", &self.run)?;
        object.serialize_field("stream", &self.stream)?;
        object.serialize_field("at", &format_time(self.at))?;
        object.serialize_field("seq", &self.seq)?;
        match std::str::from_utf8(&self.line) {
            Ok(text) => object.serialize_field("line", text)?,
            Err(_) => object.serialize_field("line_base64", &to_base64(&self.line))?,
        }
        if self.continues {
            object.serialize_field("continues", &true)?;
        }
        if self.open {
            object.serialize_field("open", &true)?;
        }
        object.end()
    }
}

/// Formats a time as RFC 3339 in UTC with milliseconds, as everywhere in JSON.
pub(super) fn format_time(at: i64) -> String {
    let stamp = jiff::Timestamp::from_millisecond(at).unwrap_or_default();
    stamp.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
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
