use std::ffi::OsString;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::path_text::as_text;
use super::{Name, Run, Variable};

/// The environment of one service: what `env --json` prints and `GET /v1/env` answers.
/// Fields may be added, never renamed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvView {
    /// The version of this form.
    pub version: u32,
    /// The name of the stack.
    pub stack: String,
    /// The service.
    pub service: Name,
    /// The run that has this environment; `None`: the next one gets it.
    pub run: Option<Run>,
    /// `run` or `debug`.
    pub mode: String,
    /// The folder that the service runs in; in JSON with a replacement character for each byte that is not UTF-8.
    #[serde(serialize_with = "as_text")]
    pub dir: PathBuf,
    /// The variables in order of their names.
    pub variables: Vec<Variable>,
}

impl EnvView {
    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<OsString> {
        self.variables.iter().find(|variable| variable.name == name)?.value.get()
    }
}
