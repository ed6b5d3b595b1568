use serde::{Deserialize, Serialize};

use super::{ServiceAction, ServiceActions};
use crate::model::Name;

/// An action that a service offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionView {
    pub name: Name,
    /// What it is for, for people.
    #[serde(default)]
    pub help: Option<String>,
    /// The names of its arguments; each needs a value.
    #[serde(default)]
    pub args: Vec<Name>,
    /// Whether it may run more than once at a time.
    #[serde(default)]
    pub parallel: bool,
    /// Where it runs now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub running: Vec<RunningAction>,
}

/// An action that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningAction {
    /// Tells it from others that run.
    pub number: u64,
    /// When it started: RFC 3339 in UTC with milliseconds.
    pub since: String,
    /// The pid of its main process, if running.
    pub pid: Option<u32>,
}

impl ActionView {
    /// Returns the views of these actions, of which none runs.
    pub fn of(actions: &ServiceActions) -> Vec<ActionView> {
        let view = |(name, action): (&Name, &ServiceAction)| ActionView {
            name: name.clone(),
            help: action.help.clone(),
            args: action.args.clone(),
            parallel: action.parallel,
            running: Vec::new(),
        };
        actions.iter().map(view).collect()
    }

    /// Returns how it is called: `api seed COUNT`.
    pub fn usage(&self, service: &str) -> String {
        let args = self.args.iter().map(|arg| format!(" {}", arg.to_env_prefix()));
        format!("{service} {}{}", self.name, args.collect::<String>())
    }
}
