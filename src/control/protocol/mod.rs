mod attach_event;
mod attach_frame;
mod attach_query;
pub(crate) mod find_services;
mod log_query;
pub(crate) mod service_query;

pub use attach_event::AttachEvent;
pub(crate) use attach_frame::{AttachFrame, InvalidFrame, READ, UPGRADE};
pub use attach_query::AttachQuery;
pub use find_services::{exactly_one, find_services};
pub use log_query::{LogPattern, LogQuery};

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::log::StatusLine;
use crate::model::{Message, Name, OutputStream, RunId, from_base64};

/// Protocol version. It changes only when an old client would misunderstand a new server or vice
/// versa; new paths and fields do not change it.
pub const PROTOCOL: u32 = 1;

/// Header with the protocol version, in every response.
pub(super) const PROTOCOL_HEADER: &str = "devstack-protocol";
/// Header with the version of the devstack, in every response.
pub(super) const VERSION_HEADER: &str = "devstack-version";
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Body of `POST /v1/start`, `stop`, `restart`, `debug` and `undebug`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ServicesRequest {
    /// At least one service.
    pub services: Vec<String>,
}

/// Body of `POST /v1/wait`; an empty body means no fields.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct WaitRequest {
    /// Empty for all requested services.
    #[serde(default)]
    pub services: Vec<String>,
    /// What to wait for; `None`: services are ready and tasks have completed.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub what: Option<WaitFor>,
}

/// What a client can wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WaitFor {
    /// Every service is ready; a completed task counts.
    Ready,
    /// Every service has exited as expected.
    Completed,
    /// No service runs or will start on its own.
    Stopped,
}

/// Response to a request that took effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TextResponse {
    /// The result, for the user.
    pub text: String,
}

/// Response to a request that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ErrorResponse {
    pub error: Message,
}

/// Response to `GET /v1/version`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionResponse {
    /// Version of the devstack.
    pub version: String,
    /// Version of its protocol.
    pub protocol: u32,
}

/// One object of `GET /v1/logs`, as a client reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum LogItem {
    /// A line of a service.
    Line(LogLineView),
    /// Lines that are missing at this point.
    Missed {
        /// Their service; `None` from an older devstack.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        service: Option<Name>,
        /// Number of lines.
        missed: u64,
        /// Their size in bytes, with newlines.
        #[serde(default)]
        bytes: u64,
    },
    /// A status line of devstack itself.
    #[serde(rename = "Said")]
    Status(StatusLine),
}

/// A line of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLineView {
    /// The service that printed it.
    pub service: Name,
    /// The run that printed it.
    pub run: RunId,
    /// The stream it was printed to.
    pub stream: OutputStream,
    /// When it was read: RFC 3339 in UTC with milliseconds.
    pub at: String,
    /// Number within the stack; orders lines.
    pub seq: u64,
    /// The line without its newline, if it is UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<String>,
    /// The line without its newline in base64, if it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line_base64: Option<String>,
    /// Whether it continues the previous line of the same stream: very long lines are split.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub continues: bool,
    /// Whether its newline has not been seen yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub open: bool,
}

impl LogLineView {
    /// Returns the bytes of the line.
    pub fn bytes(&self) -> Cow<'_, [u8]> {
        match (&self.line, &self.line_base64) {
            (Some(line), _) => Cow::Borrowed(line.as_bytes()),
            (None, Some(text)) => Cow::Owned(from_base64(text)),
            (None, None) => Cow::Borrowed(&[]),
        }
    }
}
