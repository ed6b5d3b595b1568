use serde::{Deserialize, Serialize};

use super::line_split::{MAX_LINE, char_boundary_cut};
use super::log_item::write_json;
use crate::model::Name;

/// Begins a line of a text that quotes what a service printed.
pub(crate) const EXCERPT: &str = "  | ";

/// Text that devstack itself writes to the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusText {
    /// The service it is about; `None`: the whole stack. First for `StatusLine::about_pattern`.
    pub service: Option<Name>,
    /// How important it is.
    pub tone: StatusTone,
    /// One or more lines; the first is the heading of the others.
    pub text: String,
    /// Whether it continues the previous text.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

/// How important a status line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StatusTone {
    /// Normal operation.
    Plain,
    /// Worth reading: a state, or a change that affects everything.
    Notice,
    /// Success.
    Good,
    /// A possible problem.
    Warning,
    Failure,
}

impl StatusText {
    pub fn about(service: &Name, tone: StatusTone, text: impl Into<String>) -> StatusText {
        StatusText { service: Some(service.clone()), tone, text: text.into(), more: false }
    }

    /// Creates a text about the whole stack.
    pub fn stack_wide(tone: StatusTone, text: impl Into<String>) -> StatusText {
        StatusText { service: None, tone, text: text.into(), more: false }
    }

    /// Creates a text that continues the previous one.
    pub fn continued(tone: StatusTone, text: impl Into<String>) -> StatusText {
        StatusText { service: None, tone, text: text.into(), more: true }
    }
}

/// A status line with its time, as in `--output json`, in `GET /v1/logs` and in the log file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusLine {
    /// What it says.
    #[serde(flatten)]
    pub text: StatusText,
    /// When it was written, in milliseconds since the Unix epoch.
    #[serde(with = "crate::encoding::json_time")]
    pub at: i64,
    /// Number within the stack. `None` only in the file, whose index has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
}

impl StatusLine {
    pub(super) fn encode(status: &StatusText, at: i64) -> Vec<u8> {
        let mut text = status.clone();
        if text.text.len() > MAX_LINE {
            text.text.truncate(char_boundary_cut(text.text.as_bytes()));
            text.text.push('…');
        }
        let mut line = Vec::new();
        write_json(&StatusLine { text, at, seq: None }, &mut line);
        line
    }

    /// Decodes a line of the log file; `None` if it was torn when devstack was killed.
    pub(super) fn decode(line: &[u8], seq: u64) -> Option<StatusLine> {
        let status_line: StatusLine = serde_json::from_slice(line).ok()?;
        Some(StatusLine { seq: Some(seq), ..status_line })
    }

    /// Returns a regex for stored lines about any of these services or about the whole stack.
    pub(super) fn about_pattern(services: &[Name]) -> String {
        let names: Vec<&str> = services.iter().map(Name::as_str).collect();
        format!("^\\{{\"service\":(?:null|\"(?:{})\")", names.join("|"))
    }
}

#[cfg(test)]
mod spoken_tests {
    use super::*;

    const AT: i64 = 1_763_629_200_120;

    #[test]
    fn what_was_said_survives_the_file() {
        let api = Name::new("api").unwrap();
        for status in [
            StatusText::about(&api, StatusTone::Good, "ready\nin two \"lines\""),
            StatusText::continued(StatusTone::Failure, "x"),
        ] {
            let line = StatusLine::encode(&status, AT);
            assert_eq!(memchr::memchr(b'\n', &line), Some(line.len() - 1));
            let status_line = StatusLine::decode(&line, 7).unwrap();
            assert_eq!(status_line, StatusLine { text: status, at: AT, seq: Some(7) });
            assert_eq!(StatusLine::decode(&line[..line.len() / 2], 7), None);
        }
        insta::assert_snapshot!(
            serde_json::to_string(&StatusLine { text: StatusText::about(&api, StatusTone::Good, "ready"), at: AT, seq: Some(7) }).unwrap(),
            @r#"{"service":"api","tone":"good","text":"ready","at":"2025-11-20T09:00:00.120Z","seq":7}"#
        );
    }

    #[test]
    fn a_file_line_is_bounded() {
        let status = StatusText::stack_wide(StatusTone::Plain, "ä".repeat(MAX_LINE));
        let status_line = StatusLine::decode(&StatusLine::encode(&status, AT), 0).unwrap();
        let text = status_line.text.text;
        assert!(text.len() <= MAX_LINE + 3 && text.ends_with("ä…"));
    }

    #[test]
    fn lines_about_a_service_are_found_in_the_file() {
        let [api, web] = ["api", "web"].map(|name| Name::new(name).unwrap());
        let about =
            regex::bytes::Regex::new(&StatusLine::about_pattern(&[api.clone(), web])).unwrap();
        let finds = |status: StatusText| about.is_match(&StatusLine::encode(&status, AT));
        assert!(finds(StatusText::about(&api, StatusTone::Plain, "starting")));
        let api_v2 = Name::new("api-v2").unwrap();
        assert!(!finds(StatusText::about(&api_v2, StatusTone::Plain, "{\"service\":\"api\"")));
        assert!(finds(StatusText::stack_wide(StatusTone::Plain, "stopping")));
    }
}
