use serde::{Deserialize, Serialize};

use crate::model::Name;

/// What devstack itself says in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The service it is about; `None`: the whole stack.
    pub service: Option<Name>,
    /// How much it matters.
    pub tone: Tone,
    /// What is said; may have several lines, of which the first is the head of the others.
    pub text: String,
    /// Whether it goes on from what was said before it.
    pub more: bool,
}

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tone {
    /// The normal course.
    Plain,
    /// Something to read: what is, or what changes for everyone.
    Notice,
    /// What was hoped for.
    Good,
    /// Something to look at.
    Warning,
    /// Something failed.
    Failure,
}

impl Said {
    /// A line about one service.
    pub fn of(service: &Name, tone: Tone, text: impl Into<String>) -> Said {
        Said { service: Some(service.clone()), tone, text: text.into(), more: false }
    }

    /// A line about the whole stack.
    pub fn all(tone: Tone, text: impl Into<String>) -> Said {
        Said { service: None, tone, text: text.into(), more: false }
    }

    /// A line that goes on from the one before it.
    pub fn more(tone: Tone, text: impl Into<String>) -> Said {
        Said { service: None, tone, text: text.into(), more: true }
    }
}
