use serde::{Deserialize, Serialize};

use super::{Condition, Exit, Name, Phase, Run, ServiceView};

/// Why a service is as it is, and what comes next: what `devstack why --json` prints and `GET /v1/why` answers. Fields
/// may be added, never renamed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Why {
    /// The version of this form.
    pub version: u32,
    /// The name of the stack.
    pub stack: String,
    /// When all of it was so: RFC 3339 in UTC with milliseconds.
    pub at: String,
    /// The service, as in the snapshot.
    pub service: ServiceView,
    /// What happens next by itself.
    pub next: Next,
    /// What it waits on, and how that stands.
    pub waits: Vec<Waited>,
    /// How its last runs ended, the newest first.
    pub exits: Vec<PastRun>,
    /// The probe that fails, or failed last in the run that ended.
    pub probe: Option<FailingProbe>,
    /// The file that last brought something about.
    pub trigger: Option<Trigger>,
    /// Its ports.
    pub ports: Vec<PortFacts>,
    /// The last lines of its last run, without escape sequences.
    pub log: Vec<String>,
}

/// What happens next if nobody does anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Next {
    /// It, as a fragment.
    pub text: String,
    /// In how many milliseconds, when that is known.
    pub in_ms: Option<u64>,
}

/// Something that a service waits on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waited {
    /// The other service.
    pub service: Name,
    /// What must be true of it; `None`: that it is gone, or has left a port.
    pub condition: Option<Condition>,
    /// Its phase.
    pub phase: Phase,
    /// Why it is in this phase.
    pub cause: String,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastRun {
    /// The run, as in the log: a number of the whole stack.
    pub run: Run,
    /// Which start of the service it was, from 1: the number that people are told.
    pub start: u32,
    /// When its main process ended.
    pub at: String,
    /// How.
    pub exit: Exit,
    /// From its start to its end; `None`: it was stopped before the start was told.
    pub lived_ms: Option<u64>,
    /// Whose doing it was.
    pub by: EndedBy,
}

/// Whose doing the end of a run was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EndedBy {
    /// devstack stopped it.
    Us,
    /// It ended by itself, with a success code.
    Expected,
    /// It ended by itself, otherwise.
    Unexpected,
}

impl EndedBy {
    /// For people.
    pub fn as_str(self) -> &'static str {
        match self {
            EndedBy::Us => "stopped by devstack",
            EndedBy::Expected => "by itself",
            EndedBy::Unexpected => "unexpected",
        }
    }
}

/// A probe that fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailingProbe {
    /// Whether it is about `ready` or `health`.
    pub about: String,
    /// What it saw last, with the end of the output of a command.
    pub text: String,
}

/// A file that changed and brought something about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trigger {
    /// When that was.
    pub at: String,
    /// The file.
    pub path: String,
    /// What followed: `restart`, `signal HUP`, `run make`.
    pub action: String,
}

/// What there is to know about a port of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortFacts {
    /// `main`, or the name it has in `ports`.
    pub name: String,
    /// The port that was wished for; `None`: any would do.
    pub wanted: Option<u16>,
    /// The port that it was given.
    pub given: u16,
    /// Whether only the wanted one would do.
    pub pinned: bool,
    /// Why it is another one than was wished for.
    pub moved: Option<String>,
    /// Whether a process of the service listens there; `None`: not known, or nothing runs.
    pub listens: Option<bool>,
}
