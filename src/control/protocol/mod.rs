mod attach_event;
mod attach_frame;
mod attach_query;
mod changes;
pub(crate) mod find_services;
mod log_mark;
mod log_query;
mod query_params;

pub use attach_event::AttachEvent;
pub(crate) use attach_frame::{AttachFrame, InvalidFrame, READ, UPGRADE};
pub use attach_query::AttachQuery;
pub use changes::ChangesView;
pub use find_services::{exactly_one, find_services};
pub use log_mark::LogMark;
pub use log_query::{LogPattern, LogQuery};
pub(crate) use query_params::QueryParams;

use hyper::StatusCode;
use serde::{Deserialize, Serialize};

use crate::model::{Message, MessageClass, WaitCondition};

/// Protocol version. It changes only when an old client would misunderstand a new server or vice
/// versa; new paths and fields do not change it.
pub const PROTOCOL: u32 = 1;

/// Header with the protocol version, in every response.
pub(super) const PROTOCOL_HEADER: &str = "devstack-protocol";
/// Header with the version of the devstack, in every response.
pub(super) const VERSION_HEADER: &str = "devstack-version";
/// Header with the files into which the client prints, in its requests.
pub(super) const OUTPUT_HEADER: &str = "devstack-output";
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
    #[serde(default, rename = "for", skip_serializing_if = "is_up")]
    pub what: WaitCondition,
    /// Respond with the events at once, and with the answer as the last line.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub progress: bool,
}

/// The last line of a wait with progress. Events before it have another `what`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub(super) enum WaitAnswer {
    /// The condition holds.
    Done { text: String },
    /// It cannot become true.
    Failed { error: Message },
}

impl WaitAnswer {
    pub fn of(result: Result<String, Message>) -> WaitAnswer {
        match result {
            Ok(text) => WaitAnswer::Done { text },
            Err(error) => WaitAnswer::Failed { error },
        }
    }
}

fn is_up(what: &WaitCondition) -> bool {
    *what == WaitCondition::Up
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
    pub protocol: u32,
}

/// Returns the HTTP status of an error response, unless its path or service is unknown.
pub(super) fn status_of(class: MessageClass) -> StatusCode {
    match class {
        MessageClass::Config | MessageClass::Usage => StatusCode::BAD_REQUEST,
        MessageClass::Denied => StatusCode::FORBIDDEN,
        MessageClass::NotRunning => StatusCode::GONE,
        MessageClass::Limit => StatusCode::SERVICE_UNAVAILABLE,
        MessageClass::Disk => StatusCode::INSUFFICIENT_STORAGE,
        MessageClass::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::CONFLICT,
    }
}
