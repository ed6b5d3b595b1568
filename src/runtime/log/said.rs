use serde::{Deserialize, Serialize};

use crate::model::Name;

/// Text that devstack itself writes to the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusText {
    /// The service it is about; `None`: the whole stack.
    pub service: Option<Name>,
    /// How important it is.
    pub tone: StatusTone,
    /// One or more lines; the first is the heading of the others.
    pub text: String,
    /// Whether it continues the previous text.
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
    /// A failure.
    Failure,
}

impl StatusText {
    /// Creates a text about one service.
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
