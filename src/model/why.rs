use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Condition, Name, Phase, ProcessExit, RunId, ServiceView};

/// Explains a service: the output of `devstack why --json` and `GET /v1/why`.
/// Fields may be added, never renamed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WhyView {
    /// The version of this format.
    pub version: u32,
    /// The name of the stack.
    pub stack: String,
    /// When this was true: RFC 3339 in UTC with milliseconds.
    pub at: String,
    /// The service, as in the snapshot.
    pub service: ServiceView,
    /// What happens next without user action.
    pub next: NextStep,
    /// What it waits on, with the state of each.
    pub waits: Vec<BlockedOn>,
    /// How its last runs exited, newest first.
    pub exits: Vec<PastRun>,
    /// The failing probe of the current or last run.
    pub probe: Option<FailingProbe>,
    /// The file change that last led to an action.
    pub trigger: Option<FileTrigger>,
    pub ports: Vec<PortStatus>,
    /// The last lines of its last run, without escape sequences.
    pub log: Vec<String>,
}

/// What happens next without user action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextStep {
    /// A fragment that describes it.
    pub text: String,
    /// In how many milliseconds, if known.
    pub in_ms: Option<u64>,
}

/// Something that a service waits on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockedOn {
    /// The other service.
    pub service: Name,
    /// The condition it must meet; `None`: it must be gone or release a port.
    pub condition: Option<Condition>,
    pub phase: Phase,
    /// Why it is in this phase.
    pub cause: String,
}

/// How a run exited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastRun {
    /// The run, as in the log; numbered across the whole stack.
    pub run: RunId,
    /// Which start of the service it was, from 1: the number shown to the user.
    pub start: u32,
    /// When its main process exited.
    pub at: String,
    pub exit: ProcessExit,
    /// From start to exit; `None`: stopped before its start was reported.
    pub lived_ms: Option<u64>,
    /// Whether the exit was requested, expected or unexpected.
    pub by: ExitClass,
    /// What became known of it later, such as that memory ran out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Whether the exit was requested, expected or unexpected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExitClass {
    /// devstack stopped it.
    Us,
    /// It exited on its own with a success code.
    Expected,
    /// It exited on its own otherwise.
    Unexpected,
}

impl ExitClass {
    /// Returns the text for the user.
    pub fn as_str(self) -> &'static str {
        match self {
            ExitClass::Us => "stopped by devstack",
            ExitClass::Expected => "on its own",
            ExitClass::Unexpected => "unexpected",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailingProbe {
    /// What the probe decides.
    #[serde(rename = "about")]
    pub probe: ProbePurpose,
    /// What it last saw, including the end of a command's output.
    pub text: String,
}

/// What a probe decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProbePurpose {
    /// Whether the service is ready.
    Ready,
    /// Whether it is healthy.
    Health,
    /// Something that only a newer devstack knows.
    #[serde(other)]
    Unknown,
}

impl fmt::Display for ProbePurpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ProbePurpose::Ready => "ready",
            ProbePurpose::Health => "health",
            ProbePurpose::Unknown => "probe",
        })
    }
}

/// A file change that led to an action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileTrigger {
    /// When it changed.
    pub at: String,
    pub path: String,
    /// The action: `restart`, `signal HUP`, `run make`.
    pub action: String,
}

/// The state of a port of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortStatus {
    /// `main`, or its key in `ports`.
    pub name: String,
    /// The wanted port; `None`: any.
    pub wanted: Option<u16>,
    /// The assigned port.
    pub given: u16,
    /// Whether only the wanted port is acceptable.
    pub pinned: bool,
    /// Why it is not the wanted port.
    pub moved: Option<String>,
    /// Whether a process of the service is listening on it; `None`: unknown, or not running.
    pub listens: Option<bool>,
}
