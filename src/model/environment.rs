use std::ffi::OsString;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::display::serialize_lossy;
use super::{ContainerPlace, ModeView, Name, RunId};
use crate::encoding::{from_base64, to_base64};
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// The variable that names its service to a process.
pub(crate) const SERVICE_VAR: &str = "DEVSTACK_SERVICE";

/// The environment of one service: the output of `env --json` and `GET /v1/env`. Fields may be
/// added, never renamed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvView {
    /// The version of this format.
    pub version: u32,
    /// The name of the stack.
    pub stack: String,
    pub service: Name,
    /// The run with this environment; `None`: the next run.
    pub run: Option<RunId>,
    pub mode: ModeView,
    /// The working directory of the service; in JSON, bytes that are not UTF-8 become U+FFFD.
    #[serde(serialize_with = "serialize_lossy")]
    pub dir: PathBuf,
    /// Whether the service runs in a container.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_container: bool,
    /// Where commands run inside its container; `None`: none runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<ContainerPlace>,
    /// The variables, sorted by name.
    pub variables: Vec<EnvVariable>,
}

/// The source of a variable in a service's environment, weakest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "source", rename_all = "kebab-case")]
pub enum VariableSource {
    /// devstack's own environment.
    Inherited,
    /// The preset of the service or of the framework in its command.
    Preset {
        /// Its name.
        preset: String,
    },
    /// A file of `[stack].env_file`.
    StackFile(SourceLocation),
    /// `[stack].env`.
    StackEnv(SourceLocation),
    /// A file of the service's `env_file`.
    ServiceFile(SourceLocation),
    /// `env` of the service.
    ServiceEnv(SourceLocation),
    /// devstack itself.
    Devstack,
    /// The configuration that the run started with; it has changed and the run is about to stop.
    #[serde(rename = "former")]
    PreviousConfig,
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceLocation {
    /// The file, absolute; bytes that are not UTF-8 become U+FFFD.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// Whether the file is in the main git worktree, in place of one that is missing in this one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub main_worktree: bool,
}

/// A variable of a service's environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvVariable {
    pub name: String,
    #[serde(flatten)]
    pub value: EnvValue,
    /// Where the value comes from.
    #[serde(flatten)]
    pub source: VariableSource,
    /// Values that this one shadows, strongest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[serde(rename = "hides")]
    pub shadows: Vec<ShadowedValue>,
}

/// A value that a stronger one shadows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShadowedValue {
    /// The value; empty if it cannot be resolved, for example because of a missing reference.
    #[serde(flatten)]
    pub value: EnvValue,
    /// Where it comes from.
    #[serde(flatten)]
    pub source: VariableSource,
}

/// A value: a string in JSON, or base64 if it is not UTF-8.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EnvValue {
    #[serde(default, rename = "value", skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(default, rename = "value_base64", skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

impl EnvValue {
    pub fn new(value: &OsStr) -> EnvValue {
        match value.to_str() {
            Some(text) => EnvValue { text: Some(text.to_owned()), base64: None },
            None => EnvValue { text: None, base64: Some(to_base64(value.as_bytes())) },
        }
    }

    /// Returns the value if it is UTF-8.
    pub fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    pub fn get(&self) -> Option<OsString> {
        match (&self.text, &self.base64) {
            (Some(text), _) => Some(text.into()),
            (None, Some(base64)) => Some(OsString::from_vec(from_base64(base64))),
            (None, None) => None,
        }
    }
}

/// Values may be passwords, so debug output never shows them.
impl std::fmt::Debug for EnvValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Value(…)")
    }
}
