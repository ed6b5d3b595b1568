use serde::{Deserialize, Serialize};

use super::{LogLine, StatusLine};
use crate::model::Name;

/// One object of `logs --json` and `GET /v1/logs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum LogItem {
    /// A line of a service.
    Line(LogLine),
    /// Lines that are missing at this point.
    Missed {
        /// Their service; `None` for status lines, and from an older devstack.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        service: Option<Name>,
        /// Number of lines.
        missed: u64,
        /// Their size in bytes, with newlines.
        #[serde(default)]
        bytes: u64,
    },
    /// A status line of devstack itself.
    Status(StatusLine),
}

impl LogItem {
    /// Sets the text of a line.
    pub(super) fn with_text(mut self, text: &[u8]) -> LogItem {
        if let LogItem::Line(line) = &mut self {
            line.line = text.to_vec();
        }
        self
    }

    /// Appends the item as one line of JSON.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        write_json(self, out);
    }
}

/// Appends an item, or what becomes one, as one line of JSON.
pub(super) fn write_json(what: &impl Serialize, out: &mut Vec<u8>) {
    serde_json::to_writer(&mut *out, what).expect("plain data always serializes");
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_survive_json() {
        let name = |text| Name::new(text).unwrap();
        let line = r#"{"service":"api","run":3,"stream":"stdout","at":"2025-11-20T09:00:00.120Z","seq":9,"line":"hi"}"#;
        let line: LogLine = serde_json::from_str(line).unwrap();
        let missed = |service, missed, bytes| LogItem::Missed { service, missed, bytes };
        for item in [missed(Some(name("api")), 12, 99), LogItem::Line(line)] {
            let mut json = Vec::new();
            item.write_json(&mut json);
            assert_eq!(serde_json::from_slice::<LogItem>(&json).unwrap(), item);
        }
        let older = serde_json::from_str::<LogItem>(r#"{"missed":12,"bytes":99}"#);
        assert_eq!(older.unwrap(), missed(None, 12, 99));
    }
}
