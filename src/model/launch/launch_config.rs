use std::path::{Path, PathBuf};

use super::LaunchEnv;
use crate::model::{CommandLine, ContainerConfig, DirMove, RequiredPrograms};

/// The variable in which presets have the directory of their data.
const DATA_VARIABLE: &str = "DEVSTACK_DATA";

/// What is executed, completely resolved. Equal launches need no restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchConfig {
    /// The program and its arguments. In a container: the words after the image, possibly none.
    pub command: CommandLine,
    /// How it runs in a container; `None`: as a program of this machine.
    pub container: Option<ContainerConfig>,
    /// The working directory, absolute.
    pub dir: PathBuf,
    /// Variables set on top of devstack's own environment; in a container: all that it gets.
    pub env: LaunchEnv,
    /// The address the service should bind (`HOST`). In a container: where its ports are published.
    pub host: String,
    /// Programs that must be installed; `None`: unknown.
    pub requires: Option<RequiredPrograms>,
}

impl LaunchConfig {
    /// Returns the directory where a preset keeps data.
    pub fn data_dir(&self) -> Option<&Path> {
        self.env.get(DATA_VARIABLE).map(Path::new)
    }

    /// Changes its paths after the project directory was moved, for what a running program still needs.
    pub fn relocate(&mut self, moved: &DirMove) {
        self.dir = moved.path(&self.dir);
        self.container.iter_mut().for_each(|container| container.relocate(moved));
        self.env = self.env.iter().map(|(name, value)| (name, moved.text(value))).collect();
    }
}
