use serde::ser::{Serialize, SerializeStruct, Serializer};

use crate::model::{Name, Run, Stream};

/// One line that a service printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Who printed it.
    pub service: Name,
    /// In which run.
    pub run: Run,
    /// On which stream.
    pub stream: Stream,
    /// When it was read: milliseconds since 1970.
    pub at: i64,
    /// Its number within the stack: what orders lines, also when the clock jumps.
    pub seq: u64,
    /// The line without its end, byte for byte.
    pub line: Vec<u8>,
    /// It continues the line before it of the same stream: lines of more than 64 KiB come in pieces.
    pub continues: bool,
    /// Its end has not been seen: it goes on with the next piece, or the stream ended.
    pub open: bool,
}

/// As `logs --json` prints it: `line` as text, or `line_base64` when it is not UTF-8. `continues`
/// and `open` are there only when they are true.
impl Serialize for Record {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let flags = usize::from(self.continues) + usize::from(self.open);
        let mut object = to.serialize_struct("Record", 6 + flags)?;
        object.serialize_field("service", &self.service)?;
        object.serialize_field("run", &self.run)?;
        object.serialize_field("stream", &self.stream)?;
        object.serialize_field("at", &stamp(self.at))?;
        object.serialize_field("seq", &self.seq)?;
        match std::str::from_utf8(&self.line) {
            Ok(text) => object.serialize_field("line", text)?,
            Err(_) => object.serialize_field("line_base64", &base64(&self.line))?,
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

/// RFC 3339 in UTC with milliseconds, as everywhere in JSON.
pub(super) fn stamp(at: i64) -> String {
    let stamp = jiff::Timestamp::from_millisecond(at).unwrap_or_default();
    stamp.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// RFC 4648 with padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let word = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let six = (word >> (18 - 6 * at)) & 63;
            text.push(if at <= group.len() { ALPHABET[six as usize] as char } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(line: &[u8]) -> Record {
        Record {
            service: Name::new("api").unwrap(),
            run: Run(3),
            stream: Stream::Stderr,
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
        let open = Record { open: true, ..record(b"\xff\xfe!") };
        insta::assert_snapshot!(
            serde_json::to_string(&open).unwrap(),
            @r#"{"service":"api","run":3,"stream":"stderr","at":"2025-11-20T09:00:00.120Z","seq":9,"line_base64":"//4h","open":true}"#
        );
    }

    #[test]
    fn base64_is_padded() {
        let all = ["", "f", "fo", "foo", "foob"].map(|text| base64(text.as_bytes()));
        assert_eq!(all, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg=="]);
    }
}
