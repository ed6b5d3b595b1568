//! What becomes of a service: a command, a container, or nothing.

use std::path::{Path, PathBuf};

use super::dockerfile::DockerStage;
use super::mounts::{Mount, MountSource, path_here};
use super::service_command::{plain_path, service_command};
use crate::import::environment::clean_path;
use crate::import::substitution::with_defaults;
use crate::import::yaml::YamlNode;
use crate::import::{ImportNote, ImportedCommand};
use crate::text::quote;

/// What becomes of a service.
pub(super) enum ServiceForm {
    /// It is built here, or runs files of this machine.
    Command { command: ImportedCommand, dir: PathBuf, exposed: Vec<u16> },
    /// It stays a container.
    Container,
    /// It cannot be carried over; its node says so.
    Nothing,
}

/// Reads files that a Compose file refers to.
pub(super) struct ComposeFiles<'a> {
    pub read: &'a dyn Fn(&Path) -> Option<String>,
    /// Notes about other files than the Compose file.
    pub notes: Vec<ImportNote>,
}

impl ComposeFiles<'_> {
    /// Decides what becomes of a service.
    pub fn form(&mut self, node: &YamlNode, mounts: &[Mount<'_>]) -> ServiceForm {
        if let Some(build) = node.get("build") {
            // The name of the image that is built.
            if let Some(image) = node.get("image") {
                image.accept();
            }
            return self.built(node, build, mounts);
        }
        if node.peek_text("image").is_some() {
            return ServiceForm::Container;
        }
        node.reject("not carried over: it has neither `build` nor `image`");
        ServiceForm::Nothing
    }

    fn built(&mut self, node: &YamlNode, build: &YamlNode, mounts: &[Mount<'_>]) -> ServiceForm {
        let text = |key: &str| {
            let value = build.get(key)?;
            Some(with_defaults(value.text()?, value))
        };
        let context = match build.scalar() {
            Some(context) => with_defaults(context, build),
            None => text("context").unwrap_or_else(|| ".".to_owned()),
        };
        if context.contains("://") || context.starts_with("git@") {
            node.reject("not carried over: its build context is not on this machine");
            return ServiceForm::Nothing;
        }
        let context = clean_path(context);
        let file = context.join(text("dockerfile").unwrap_or_else(|| "Dockerfile".to_owned()));
        let target = text("target");
        let inline = build.get("dockerfile_inline").and_then(|node| node.text());
        let content = match inline {
            Some(inline) => Some(inline.to_owned()),
            None => (self.read)(&clean_path(&file)),
        };
        let stage = content.and_then(|text| DockerStage::parse(&text, target.as_deref()));
        if let Some(command) = service_command(node, stage.as_ref()) {
            let stage = stage.unwrap_or_default();
            self.note_stage(&stage, &file);
            let workdir = stage.workdir.as_deref().map(|workdir| (workdir, context.as_path()));
            let dir = working_dir(node, mounts, workdir).unwrap_or(context);
            return ServiceForm::Command { command, dir, exposed: stage.ports };
        }
        // Only its image has what it runs.
        ServiceForm::Container
    }

    fn note_stage(&mut self, stage: &DockerStage, file: &Path) {
        let file = file.display().to_string();
        self.notes.extend(stage.env.iter().map(|(line, text)| ImportNote {
            file: file.clone(),
            line: Some(*line),
            subject: "ENV".to_owned(),
            text: format!(
                "{} is not carried over: set it in `env` if it is needed here",
                quote(text)
            ),
        }));
    }
}

/// Returns where a service runs on this machine; `workdir` is that of its Dockerfile, and what is
/// there. `None`: that is not known.
fn working_dir(
    node: &YamlNode,
    mounts: &[Mount<'_>],
    workdir: Option<(&str, &Path)>,
) -> Option<PathBuf> {
    let Some(dir) = node.get("working_dir") else {
        return match workdir {
            Some((workdir, _)) => path_here(mounts, workdir),
            // The only directory that it sees.
            None => match mounts {
                [Mount { source: MountSource::Path(path), .. }] => Some(path.clone()),
                _ => None,
            },
        };
    };
    let path = plain_path(dir)?;
    let below_workdir = || {
        let (workdir, context) = workdir?;
        Some(clean_path(context.join(Path::new(&path).strip_prefix(workdir).ok()?)))
    };
    let found = path_here(mounts, &path).or_else(below_workdir);
    if found.is_none() {
        dir.note("not carried over: it is not known which directory of this machine it is");
    }
    found
}
