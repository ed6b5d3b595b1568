use std::ffi::OsString;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::path_text::serialize_lossy;
use super::{EnvVariable, Name, RunId};

/// The environment of one service: the output of `env --json` and `GET /v1/env`. Fields may be
/// added, never renamed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvView {
    /// The version of this format.
    pub version: u32,
    /// The name of the stack.
    pub stack: String,
    /// The service.
    pub service: Name,
    /// The run with this environment; `None`: the next run.
    pub run: Option<RunId>,
    /// `run` or `debug`.
    pub mode: String,
    /// The working directory of the service; in JSON, bytes that are not UTF-8 become U+FFFD.
    #[serde(serialize_with = "serialize_lossy")]
    pub dir: PathBuf,
    /// The variables, sorted by name.
    pub variables: Vec<EnvVariable>,
}

impl EnvView {
    /// Returns the value of a variable.
    pub fn get(&self, name: &str) -> Option<OsString> {
        self.variables.iter().find(|variable| variable.name == name)?.value.get()
    }
}
