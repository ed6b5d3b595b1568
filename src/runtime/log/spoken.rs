use serde::{Deserialize, Serialize};

use super::lines::{LINE_MAX, cut};
use super::record::stamp;
use super::said::{Said, Tone};
use crate::model::Name;

/// A status line with its time, as in `--output json`, in `GET /v1/logs` and in the log file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spoken {
    /// The service it is about; `null`: the whole stack. First for [`StatusLine::about_pattern`].
    pub service: Option<Name>,
    /// Time in RFC 3339, UTC with milliseconds.
    pub at: String,
    /// Number within the stack. `None` only in the file, whose index has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// How important it is.
    pub tone: Tone,
    /// One or more lines.
    pub text: String,
    /// Whether it continues the previous status line.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

impl Spoken {
    /// Creates a status line; `at` is in milliseconds since the Unix epoch.
    pub(super) fn new(said: &Said, at: i64, seq: Option<u64>) -> Spoken {
        let Said { service, tone, text, more } = said.clone();
        Spoken { service, at: stamp(at), seq, tone, text, more }
    }

    /// Encodes a line of the log file.
    pub(super) fn stored(said: &Said, at: i64) -> Vec<u8> {
        let mut spoken = Spoken::new(said, at, None);
        if spoken.text.len() > LINE_MAX {
            spoken.text.truncate(cut(spoken.text.as_bytes()));
            spoken.text.push('…');
        }
        let mut line = serde_json::to_vec(&spoken).expect("plain data always serializes");
        line.push(b'\n');
        line
    }

    /// Decodes a line of the log file; `None` if it was torn when devstack was killed.
    pub(super) fn read(line: &[u8], seq: u64) -> Option<Spoken> {
        let spoken: Spoken = serde_json::from_slice(line).ok()?;
        Some(Spoken { seq: Some(seq), ..spoken })
    }

    /// Returns a regex for stored lines about any of these services or about the whole stack.
    pub(super) fn about(services: &[Name]) -> String {
        let names: Vec<&str> = services.iter().map(Name::as_str).collect();
        format!("^\\{{\"service\":(?:null|\"(?:{})\")", names.join("|"))
    }

    /// Returns the text and its time, in milliseconds since the Unix epoch.
    pub fn said(&self) -> (Said, i64) {
        let at = self.at.parse::<jiff::Timestamp>().map_or(0, |at| at.as_millisecond());
        let Spoken { service, tone, text, more, .. } = self.clone();
        (Said { service, tone, text, more }, at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: i64 = 1_763_629_200_120;

    #[test]
    fn what_was_said_survives_the_file() {
        let api = Name::new("api").unwrap();
        for said in
            [Said::of(&api, Tone::Good, "ready\nin two \"lines\""), Said::more(Tone::Failure, "x")]
        {
            let line = Spoken::stored(&said, AT);
            assert_eq!(memchr::memchr(b'\n', &line), Some(line.len() - 1));
            let spoken = Spoken::read(&line, 7).unwrap();
            assert_eq!(spoken, Spoken::new(&said, AT, Some(7)));
            assert_eq!(spoken.said(), (said, AT));
            assert_eq!(Spoken::read(&line[..line.len() / 2], 7), None);
        }
        insta::assert_snapshot!(
            serde_json::to_string(&Spoken::new(&Said::of(&api, Tone::Good, "ready"), AT, Some(7))).unwrap(),
            @r#"{"service":"api","at":"2025-11-20T09:00:00.120Z","seq":7,"tone":"good","text":"ready"}"#
        );
    }

    #[test]
    fn a_file_line_is_bounded() {
        let said = Said::all(Tone::Plain, "ä".repeat(LINE_MAX));
        let spoken = Spoken::read(&Spoken::stored(&said, AT), 0).unwrap();
        assert!(spoken.text.len() <= LINE_MAX + 3 && spoken.text.ends_with("ä…"));
    }

    #[test]
    fn lines_about_a_service_are_found_in_the_file() {
        let [api, web] = ["api", "web"].map(|name| Name::new(name).unwrap());
        let about = regex::bytes::Regex::new(&Spoken::about(&[api.clone(), web])).unwrap();
        let finds = |said: Said| about.is_match(&Spoken::stored(&said, AT));
        assert!(finds(Said::of(&api, Tone::Plain, "starting")));
        let api_v2 = Name::new("api-v2").unwrap();
        assert!(!finds(Said::of(&api_v2, Tone::Plain, "{\"service\":\"api\"")));
        assert!(finds(Said::all(Tone::Plain, "stopping")));
    }
}
