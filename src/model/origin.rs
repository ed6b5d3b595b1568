use serde::{Deserialize, Serialize};

/// The source of a variable in a service's environment, weakest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "source", rename_all = "kebab-case")]
pub enum Origin {
    /// devstack's own environment.
    Inherited,
    /// The preset of the service or of the framework in its command.
    Preset {
        /// Its name.
        preset: String,
    },
    /// A file of `[stack].env_file`.
    StackFile(Written),
    /// `[stack].env`.
    StackEnv(Written),
    /// A file of the service's `env_file`.
    ServiceFile(Written),
    /// `env` of the service.
    ServiceEnv(Written),
    /// devstack itself.
    Devstack,
    /// The configuration that the run started with; it has changed and the run is about to stop.
    Former,
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// The file, absolute; bytes that are not UTF-8 become U+FFFD.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
}
