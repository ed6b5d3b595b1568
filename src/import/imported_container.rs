use std::path::{Path, PathBuf};

use super::environment::clean_path;
use crate::model::{VolumeMount, VolumeSource};

/// How an imported service runs in a container. Paths are relative to the directory of
/// `devstack.toml`.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportedContainer {
    /// The image, or what it is built from.
    pub source: ImportedImage,
    /// Replaces the entrypoint of the image.
    pub entrypoint: Option<Vec<String>>,
    /// The user inside.
    pub user: Option<String>,
    /// The working directory inside.
    pub workdir: Option<String>,
    pub volumes: Vec<VolumeMount>,
    /// A word for `pull`.
    pub pull: Option<&'static str>,
    /// The port inside for each named port, if it has another number outside.
    pub inside_ports: Vec<(String, u16)>,
}

/// Where the image of an imported service comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportedImage {
    Image(String),
    /// It is built from a directory.
    Build {
        /// The directory.
        context: PathBuf,
        /// The Dockerfile, relative to `context`.
        file: Option<String>,
        /// The stage.
        target: Option<String>,
        /// Build arguments, in the order of the file.
        args: Vec<(String, String)>,
    },
}

impl ImportedContainer {
    pub fn of(source: ImportedImage) -> ImportedContainer {
        ImportedContainer {
            source,
            entrypoint: None,
            user: None,
            workdir: None,
            volumes: Vec::new(),
            pull: None,
            inside_ports: Vec::new(),
        }
    }

    /// Returns what runs, in a few words: `image postgres:17`, `build ./api`.
    pub fn shown(&self) -> String {
        match &self.source {
            ImportedImage::Image(image) => format!("image {image}"),
            ImportedImage::Build { context, .. } => format!("build {}", dotted(context)),
        }
    }

    /// Makes all paths relative to another directory, which has theirs at `below`.
    pub fn prefix_paths(&mut self, below: &Path) {
        let prefix = |path: &mut PathBuf| *path = clean_path(below.join(&*path));
        if let ImportedImage::Build { context, .. } = &mut self.source {
            prefix(context);
        }
        for volume in &mut self.volumes {
            if let VolumeSource::Bind(path) = &mut volume.source {
                prefix(path);
            }
        }
    }
}

/// Returns a path as `build` and `volumes` need it: a relative one begins with a dot.
pub(super) fn dotted(path: &Path) -> String {
    let text = path.to_string_lossy();
    match () {
        () if text.is_empty() => ".".to_owned(),
        () if path.is_absolute() || text.starts_with("..") => text.into_owned(),
        () => format!("./{text}"),
    }
}

/// Returns a volume as `volumes` has it.
pub(super) fn volume_text(volume: &VolumeMount) -> String {
    let source = match &volume.source {
        VolumeSource::Bind(path) => VolumeSource::Bind(dotted(path).into()),
        other => other.clone(),
    };
    VolumeMount { source, ..volume.clone() }.to_string()
}
