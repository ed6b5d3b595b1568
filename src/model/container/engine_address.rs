use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ContainerEngine;

/// How to reach a container engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineAddress {
    pub engine: ContainerEngine,
    /// The Unix socket of its API.
    pub socket: PathBuf,
    /// Its command-line program.
    pub program: PathBuf,
}

/// Where commands run inside a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerPlace {
    pub engine: EngineAddress,
    pub name: String,
}

impl ContainerEngine {
    /// Returns its name, as its makers write it.
    pub fn name(self) -> &'static str {
        match self {
            ContainerEngine::Docker => "Docker",
            ContainerEngine::Podman => "Podman",
        }
    }
}
