use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::display::serialize_lossy;
use super::{Dependency, Message, Name};

/// What applying a configuration changes, and why. Names fields and variables, never their values.
/// Stops come first, then the rest in start order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Plan {
    /// At most one change per service; a service without one stays as it is.
    pub changes: Vec<ServiceChange>,
    /// The services whose process keeps running, by name.
    #[serde(rename = "keeps")]
    pub unchanged: Vec<Name>,
}

/// What happens to one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceChange {
    /// Its name; the new one if it was renamed.
    pub service: Name,
    /// What happens.
    pub action: ChangeAction,
    /// Why, as a fragment.
    #[serde(rename = "because")]
    pub reason: String,
    /// Its former name, if it was renamed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "from")]
    pub renamed_from: Option<Name>,
    /// The changed keys, as in the file.
    pub fields: Vec<String>,
    /// The changed variables of its environment.
    pub variables: Vec<String>,
    /// Its new ports, by name.
    pub ports: BTreeMap<String, u16>,
    /// The wanted ports, by name.
    #[serde(rename = "wanted_ports")]
    pub preferred_ports: BTreeMap<String, u16>,
    /// Why assigned ports differ from wanted ones.
    pub moved: Vec<String>,
    /// The dependencies it waits for before it starts.
    #[serde(rename = "after")]
    pub waits_for: Vec<Dependency>,
}

/// What an apply does to a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeAction {
    /// It is new and starts.
    Add,
    /// It is new and does not start.
    Define,
    /// It is known and starts.
    Start,
    /// Its process restarts.
    Restart,
    /// It was renamed: its process restarts under the new name.
    Rename,
    /// It changes without a restart.
    Update,
    /// It does not run now; the change applies to its next start.
    Prepare,
    /// It is no longer requested and stops.
    Stop,
    Remove,
}

impl Plan {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Returns one line per change, with the names in a column.
    pub fn lines(&self) -> Vec<String> {
        let width = self.changes.iter().map(|change| change.service.as_str().len()).max();
        let width = width.unwrap_or(0);
        let line = |change: &ServiceChange| format!("{:width$}  {}", change.service, change.text());
        self.changes.iter().map(line).collect()
    }
}

impl ServiceChange {
    /// Creates a change without further details.
    pub fn new(service: Name, action: ChangeAction, because: impl Into<String>) -> ServiceChange {
        ServiceChange {
            service,
            action,
            reason: because.into(),
            renamed_from: None,
            fields: Vec::new(),
            variables: Vec::new(),
            ports: BTreeMap::new(),
            preferred_ports: BTreeMap::new(),
            moved: Vec::new(),
            waits_for: Vec::new(),
        }
    }

    /// Returns what happens and why, without the name.
    pub fn text(&self) -> String {
        let because = &self.reason;
        match self.action {
            ChangeAction::Add | ChangeAction::Remove | ChangeAction::Define => because.clone(),
            ChangeAction::Start => format!("start: {because}"),
            ChangeAction::Restart | ChangeAction::Rename => format!("restart: {because}"),
            ChangeAction::Update => format!("{because}, no restart needed"),
            ChangeAction::Prepare => format!("{because}, applied on its next start"),
            ChangeAction::Stop => format!("stop: {because}"),
        }
    }
}

impl fmt::Display for ServiceChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.service, self.text())
    }
}

/// The output of `devstack plan --json` and `GET /v1/plan`. Fields may be added, never renamed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanView {
    /// The version of this format.
    pub version: u32,
    /// The name of the stack.
    pub stack: String,
    /// Its directory; in JSON, bytes that are not UTF-8 become U+FFFD.
    #[serde(serialize_with = "serialize_lossy")]
    pub dir: PathBuf,
    /// Whether the stack is running. If not, the plan is what `up` would do.
    pub running: bool,
    /// Whether a running stack applies edits automatically.
    pub live: bool,
    /// What would change.
    #[serde(flatten)]
    pub plan: Plan,
    /// Further notes about the configuration.
    pub notes: Vec<Message>,
}
