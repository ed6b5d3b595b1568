use serde::{Deserialize, Serialize};

/// A request to run an action: the body of `POST /v1/do`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionRequest {
    pub service: String,
    pub action: String,
    /// The values of its arguments, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Whether it goes on when the client leaves. Otherwise it is ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub detach: bool,
}

/// A request to end an action where it runs: the body of `POST /v1/do/stop`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionStop {
    pub service: String,
    pub action: String,
    /// Only the one with this number, as in [`ActionUpdate::Started`](super::ActionUpdate::Started).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
}
