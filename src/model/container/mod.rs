//! Services that run in containers: what the file says, with its texts expanded.

mod engine_address;
mod image_source;
mod stack_containers;
mod volume;

pub use engine_address::{ContainerPlace, EngineAddress};
pub use image_source::{ImageBuild, ImageSource, is_image_reference};
pub use stack_containers::StackContainers;
pub use volume::{VolumeMount, VolumeSource, is_volume_name};

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{DirMove, RedactedText};

/// How a service runs in a container. Texts are templates until they are expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerConfig<T = RedactedText> {
    /// The image, or what it is built from.
    pub source: ImageSource<T>,
    /// Replaces the entrypoint of the image; `None`: the image's own. Empty: none.
    pub entrypoint: Option<Vec<T>>,
    /// User, or user and group, inside; `None`: that of the image.
    pub user: Option<T>,
    /// The working directory inside; `None`: that of the image.
    pub workdir: Option<T>,
    /// What is mounted, in the order of the file; each target once.
    pub volumes: Vec<VolumeMount>,
    /// When the image is pulled.
    pub pull: PullPolicy,
    /// The engine that must run it; `None`: any that is there.
    pub engine: Option<ContainerEngine>,
    /// The ports that its program listens on, by the name of each of the service's ports.
    pub inside_ports: BTreeMap<String, u16>,
}

impl<T> ContainerConfig<T> {
    /// Expands its texts.
    pub fn map<U>(&self, mut expand: impl FnMut(&T) -> U) -> ContainerConfig<U> {
        ContainerConfig {
            source: self.source.map(&mut expand),
            entrypoint: self
                .entrypoint
                .as_ref()
                .map(|words| words.iter().map(&mut expand).collect()),
            user: self.user.as_ref().map(&mut expand),
            workdir: self.workdir.as_ref().map(&mut expand),
            volumes: self.volumes.clone(),
            pull: self.pull,
            engine: self.engine,
            inside_ports: self.inside_ports.clone(),
        }
    }

    /// Returns its texts that may contain references.
    pub fn texts(&self) -> impl Iterator<Item = &T> {
        let words = self.entrypoint.iter().flatten();
        self.source.texts().chain(words).chain(&self.user).chain(&self.workdir)
    }

    /// Changes its paths after the project directory was moved.
    pub fn relocate(&mut self, moved: &DirMove) {
        if let ImageSource::Build(build) = &mut self.source {
            build.context = moved.path(&build.context);
            build.file = build.file.as_deref().map(|file| moved.path(file));
        }
        for volume in &mut self.volumes {
            if let VolumeSource::Bind(path) = &mut volume.source {
                *path = moved.path(path);
            }
        }
    }
}

impl ContainerConfig {
    /// Returns what runs, for display: the image, or the directory it is built from.
    pub fn image(&self) -> String {
        match &self.source {
            ImageSource::Image(image) => image.redacted().to_owned(),
            ImageSource::Build(build) => build.context.display().to_string(),
        }
    }
}

#[cfg(test)]
impl ContainerConfig {
    /// One of this image with the defaults of the file.
    pub(crate) fn sample(image: &str) -> ContainerConfig {
        ContainerConfig {
            source: ImageSource::Image(image.into()),
            entrypoint: None,
            user: None,
            workdir: None,
            volumes: Vec::new(),
            pull: PullPolicy::Missing,
            engine: None,
            inside_ports: BTreeMap::new(),
        }
    }
}

/// Returns the host name of this machine inside the containers of an engine; `None`: any engine.
pub fn host_inside(engine: Option<ContainerEngine>) -> &'static str {
    match engine {
        Some(ContainerEngine::Podman) => "host.containers.internal",
        Some(ContainerEngine::Docker) | None => "host.docker.internal",
    }
}

/// When an image is pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PullPolicy {
    /// If it is not on this machine.
    #[default]
    Missing,
    /// Before every start.
    Always,
    /// Not at all: without it, the service fails.
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ContainerEngine {
    Docker,
    Podman,
}

/// Its command.
impl fmt::Display for ContainerEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}
