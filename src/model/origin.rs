use serde::{Deserialize, Serialize};

/// The source of a variable in a service's environment, weakest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "source", rename_all = "kebab-case")]
pub enum VariableOrigin {
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
}
