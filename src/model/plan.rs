use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::path_text::as_text;
use super::{Message, Name, Need};

/// What making a stack so changes, and why: names of fields and of variables, never their values. What stops comes
/// first, then the rest in the order in which it starts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Plan {
    /// At most one change a service; who is not in it stays as it is.
    pub changes: Vec<Change>,
    /// The services whose process runs on, by name: those that do not change, or need no restart to.
    pub keeps: Vec<Name>,
}

/// What happens to one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Its name; of a service that was renamed, the new one.
    pub service: Name,
    /// What happens.
    pub action: Action,
    /// Why, as a fragment.
    pub because: String,
    /// What it was called before, when it was renamed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Name>,
    /// The keys that changed, as they are called in the file.
    pub fields: Vec<String>,
    /// The variables of its environment that changed.
    pub variables: Vec<String>,
    /// Its ports from then on, by name.
    pub ports: BTreeMap<String, u16>,
    /// The ports that were wished for, by name.
    pub wanted_ports: BTreeMap<String, u16>,
    /// Why ports are not those that were wished for.
    pub moved: Vec<String>,
    /// What has to hold before it starts.
    pub after: Vec<Need>,
}

/// What an apply does to a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It is new and starts.
    Add,
    /// It is new and nothing starts it.
    Define,
    /// It was there and starts.
    Start,
    /// Its process is stopped and started.
    Restart,
    /// It has another name: its process is stopped, and started under that.
    Rename,
    /// It is taken over; a process goes on.
    Update,
    /// It does not run now; its next start is by what is new.
    Prepare,
    /// It is there, and nobody asks for it any more.
    Stop,
    /// It is gone.
    Remove,
}

impl Plan {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// One line a change, the names in a column.
    pub fn lines(&self) -> Vec<String> {
        let width = self.changes.iter().map(|change| change.service.as_str().len()).max();
        let width = width.unwrap_or(0);
        let line = |change: &Change| format!("{:width$}  {}", change.service, change.text());
        self.changes.iter().map(line).collect()
    }
}

impl Change {
    /// A change of which nothing else is known.
    pub fn new(service: Name, action: Action, because: impl Into<String>) -> Change {
        Change {
            service,
            action,
            because: because.into(),
            from: None,
            fields: Vec::new(),
            variables: Vec::new(),
            ports: BTreeMap::new(),
            wanted_ports: BTreeMap::new(),
            moved: Vec::new(),
            after: Vec::new(),
        }
    }

    /// What happens and why, without the name.
    pub fn text(&self) -> String {
        let because = &self.because;
        match self.action {
            Action::Add | Action::Remove | Action::Define => because.clone(),
            Action::Start => format!("start: {because}"),
            Action::Restart | Action::Rename => format!("restart: {because}"),
            Action::Update => format!("{because}, no restart needed"),
            Action::Prepare => format!("{because}, for its next start"),
            Action::Stop => format!("stop: {because}"),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.service, self.text())
    }
}

/// What `devstack plan --json` prints and `GET /v1/plan` answers. Fields may be added, never renamed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanView {
    /// The version of this form.
    pub version: u32,
    /// The name of the stack.
    pub stack: String,
    /// Its folder; in JSON with a replacement character for each byte that is not UTF-8.
    #[serde(serialize_with = "as_text")]
    pub dir: PathBuf,
    /// Whether the stack runs: then these are the differences to what runs, else what `up` would do.
    pub running: bool,
    /// Whether a running stack applies edits by itself.
    pub live: bool,
    /// What would change.
    #[serde(flatten)]
    pub plan: Plan,
    /// What else people should know about the configuration.
    pub notes: Vec<Message>,
}
