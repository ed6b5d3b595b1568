use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::model::{Message, Name, Run, Stream, from_base64};
use crate::runtime::log::Spoken;

/// The version of the protocol. It changes only when an old client would misunderstand a new server
/// or the other way round: new paths and new fields do not change it.
pub const PROTOCOL: u32 = 1;

/// Every answer names its protocol in this header.
pub(super) const PROTOCOL_HEADER: &str = "devstack-protocol";
/// Every answer names the version of the devstack in this header.
pub(super) const VERSION_HEADER: &str = "devstack-version";
/// The version of this devstack.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The body of `POST /v1/start`, `stop`, `restart`, `debug` and `undebug`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Services {
    /// Which services, at least one.
    pub services: Vec<String>,
}

/// The body of `POST /v1/wait`; an empty body is one without fields.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Awaited {
    /// Which services; all that are asked for when there is none.
    #[serde(default)]
    pub services: Vec<String>,
    /// What is waited for; `None`: that services are ready and tasks have completed.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub what: Option<WaitFor>,
}

/// What somebody can wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WaitFor {
    /// Each is ready; a task that has completed counts.
    Ready,
    /// Each has ended as expected.
    Completed,
    /// Nothing of each runs, and nothing starts it by itself.
    Stopped,
}

/// The answer to a request that took effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Told {
    /// What is so now.
    pub text: String,
}

/// The answer to a request that did not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Refusal {
    /// Why not.
    pub error: Message,
}

/// The answer of `GET /v1/version`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// The version of the devstack.
    pub version: String,
    /// The version of its protocol.
    pub protocol: u32,
}

/// One object of `GET /v1/logs`, as a client reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum LogItem {
    /// A line.
    Line(LogLine),
    /// Lines that should be here are lost.
    Missed {
        /// Whose; `None`: an older devstack did not say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        service: Option<Name>,
        /// How many.
        missed: u64,
        /// Their bytes, with line ends.
        #[serde(default)]
        bytes: u64,
    },
    /// What devstack itself said.
    Said(Spoken),
}

/// A line of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Who printed it.
    pub service: Name,
    /// In which run.
    pub run: Run,
    /// Through which output.
    pub stream: Stream,
    /// When it arrived: RFC 3339 in UTC with milliseconds.
    pub at: String,
    /// Its number within the stack: what orders lines.
    pub seq: u64,
    /// The line without its end, when it is UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<String>,
    /// The line without its end in base64, when it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line_base64: Option<String>,
    /// It continues the line before it of the same output: very long lines come in pieces.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub continues: bool,
    /// Its end has not been seen.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub open: bool,
}

impl LogLine {
    /// The bytes of the line.
    pub fn bytes(&self) -> Cow<'_, [u8]> {
        match (&self.line, &self.line_base64) {
            (Some(line), _) => Cow::Borrowed(line.as_bytes()),
            (None, Some(text)) => Cow::Owned(from_base64(text)),
            (None, None) => Cow::Borrowed(&[]),
        }
    }
}
