use serde::Serialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    Ok,
    /// Worth knowing; nothing fails because of it.
    Note,
    /// Something fails because of it, or soon will.
    Wrong,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// What was checked: a stable word for scripts.
    pub check: &'static str,
    pub state: State,
    /// The result, a lower-case fragment.
    pub text: String,
    /// What to run or change; empty if there is nothing to do.
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
