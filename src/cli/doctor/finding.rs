use serde::Serialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum FindingLevel {
    Ok,
    /// Worth knowing; nothing fails because of it.
    Note,
    /// Something fails because of it, or soon will.
    Wrong,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct DoctorFinding {
    /// What was checked: a stable word for scripts.
    pub check: &'static str,
    pub state: FindingLevel,
    /// The result, a lower-case fragment.
    pub text: String,
    /// What to run or change; empty if there is nothing to do.
    pub help: String,
}

impl DoctorFinding {
    pub fn ok(check: &'static str, text: impl Into<String>) -> DoctorFinding {
        DoctorFinding { check, state: FindingLevel::Ok, text: text.into(), help: String::new() }
    }

    pub fn note(
        check: &'static str,
        text: impl Into<String>,
        help: impl Into<String>,
    ) -> DoctorFinding {
        DoctorFinding { check, state: FindingLevel::Note, text: text.into(), help: help.into() }
    }

    pub fn wrong(
        check: &'static str,
        text: impl Into<String>,
        help: impl Into<String>,
    ) -> DoctorFinding {
        DoctorFinding { check, state: FindingLevel::Wrong, text: text.into(), help: help.into() }
    }
}
