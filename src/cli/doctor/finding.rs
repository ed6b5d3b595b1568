use serde::Serialize;

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// As it should be.
    Ok,
    /// Good to know; nothing fails because of it.
    Note,
    /// Something fails because of it, or soon will.
    Wrong,
}

/// What came of one look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// What was looked at: a stable word for scripts.
    pub check: &'static str,
    pub state: State,
    /// What is so, a lower-case fragment.
    pub text: String,
    /// What to type or change; empty when there is nothing to do.
    pub help: String,
}

impl Finding {
    pub fn ok(check: &'static str, text: impl Into<String>) -> Finding {
        Finding { check, state: State::Ok, text: text.into(), help: String::new() }
    }

    pub fn note(check: &'static str, text: impl Into<String>, help: impl Into<String>) -> Finding {
        Finding { check, state: State::Note, text: text.into(), help: help.into() }
    }

    pub fn wrong(check: &'static str, text: impl Into<String>, help: impl Into<String>) -> Finding {
        Finding { check, state: State::Wrong, text: text.into(), help: help.into() }
    }
}
