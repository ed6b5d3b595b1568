use crate::model::Name;

/// What devstack itself says in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The service it is about; `None`: the whole stack.
    pub service: Option<Name>,
    /// How much it matters.
    pub tone: Tone,
    /// What is said; may have several lines.
    pub text: String,
}

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
        Said { service: Some(service.clone()), tone, text: text.into() }
    }

    /// A line about the whole stack.
    pub fn all(tone: Tone, text: impl Into<String>) -> Said {
        Said { service: None, tone, text: text.into() }
    }
}
