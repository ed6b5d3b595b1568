use std::collections::BTreeMap;

use crate::model::{Name, RunId};

/// The prefix of all labels.
pub(super) const STACK: &str = "dev.devstack.stack";
const SERVICE: &str = "dev.devstack.service";
const RUN: &str = "dev.devstack.run";
/// Of volumes: the project directory.
pub(super) const DIR: &str = "dev.devstack.dir";
pub(super) const TOKEN: &str = "dev.devstack.token";

/// How much of a token stands in names: enough that no two stacks have the same.
const TOKEN_DIGITS: usize = 8;

/// What marks everything that a stack makes in an engine. The token is that of the running devstack,
/// so that nothing of another one, or of a copy of the directory, is ever taken for its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerLabels {
    /// The name of the stack.
    pub stack: String,
    /// As in `DEVSTACK_RUN` of processes.
    pub token: String,
    /// Tells directories with stacks of the same name apart, and stays when one is moved.
    pub place: String,
}

impl ContainerLabels {
    pub fn of_network(&self) -> BTreeMap<&'static str, String> {
        BTreeMap::from([(STACK, self.stack.clone()), (TOKEN, self.token.clone())])
    }

    pub fn of_run(&self, service: &Name, run: RunId) -> BTreeMap<&'static str, String> {
        let mut labels = self.of_network();
        labels.insert(SERVICE, service.to_string());
        labels.insert(RUN, run.0.to_string());
        labels
    }

    /// Returns the name of the network. The token keeps the stacks of two worktrees apart.
    pub fn network(&self) -> String {
        format!("devstack-{}-{}", self.stack, self.short_token())
    }

    /// Returns the name of a container: one run, one name.
    pub fn container(&self, service: &Name, run: RunId) -> String {
        format!("devstack-{}-{service}-{}-{}", self.stack, run.0, self.short_token())
    }

    /// Returns the name of a volume, which outlives this devstack. Two worktrees never share one: a
    /// data store would destroy it.
    pub fn volume(&self, name: &str) -> String {
        format!("devstack-{}-{}-{name}", self.stack, self.place)
    }

    pub fn of_volume(&self, dir: &str) -> BTreeMap<&'static str, String> {
        BTreeMap::from([(STACK, self.stack.clone()), (DIR, dir.to_owned())])
    }

    /// Returns the tag of the image that is built for a service.
    pub fn image(&self, service: &Name) -> String {
        format!("localhost/devstack-{}-{}-{service}:latest", self.stack, self.place)
    }

    fn short_token(&self) -> &str {
        self.token.get(..TOKEN_DIGITS).unwrap_or(&self.token)
    }
}

/// Returns the filter of the API for what has this token.
pub(super) fn with_token(token: &str) -> String {
    serde_json::json!({ "label": [format!("{TOKEN}={token}")] }).to_string()
}

/// Returns the filter of the API for what any stack has.
pub(super) fn of_any_stack() -> String {
    serde_json::json!({ "label": [STACK] }).to_string()
}

/// Returns the filter of the API for the containers of a service.
pub(super) fn of_service(token: &str, service: &Name) -> String {
    let labels = [format!("{TOKEN}={token}"), format!("{SERVICE}={service}")];
    serde_json::json!({ "label": labels }).to_string()
}
