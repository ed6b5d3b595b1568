use serde::{Deserialize, Serialize};

/// Who gave a variable of a service's environment its value, the weakest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "source", rename_all = "kebab-case")]
pub enum Origin {
    /// devstack's own environment.
    Inherited,
    /// The preset of the service, or of the framework that its command names.
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
    /// The configuration as it was when the run began: it has changed since, and the run is about to end.
    Former,
}

/// Where something was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// The file, absolute; with a replacement character for each byte that is not UTF-8.
    pub file: String,
    /// Its line, from 1.
    pub line: usize,
}
