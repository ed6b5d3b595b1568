//! `volumes`: which directories of this machine a container sees, and where.

use std::path::{Path, PathBuf};

use crate::import::environment::clean_path;
use crate::import::substitution::with_defaults;
use crate::import::yaml::YamlNode;

/// One of the volumes of a service.
#[derive(Debug)]
pub(super) struct Mount<'a> {
    pub node: &'a YamlNode,
    /// Where it is in the container.
    pub target: String,
    pub source: MountSource,
    pub read_only: bool,
}

/// What a volume is on this machine.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum MountSource {
    /// A file or directory, relative to the file unless absolute.
    Path(PathBuf),
    /// A volume that Docker keeps, with or without a name.
    Volume(Option<String>),
}

/// Reads the volumes of a service.
pub(super) fn read_mounts(service: &YamlNode) -> Vec<Mount<'_>> {
    let items = service.get("volumes").map(YamlNode::items).unwrap_or_default();
    items
        .iter()
        .filter_map(|node| if node.is_map() { read_long(node) } else { read_short(node) })
        .collect()
}

/// Reads `[SOURCE:]TARGET[:MODE]`.
fn read_short(node: &YamlNode) -> Option<Mount<'_>> {
    let text = with_defaults(node.text()?, node);
    let mut parts = text.split(':');
    let first = parts.next().unwrap_or_default();
    let (target, source) = match parts.next() {
        Some(target) => (target.to_owned(), source(first)),
        None => (first.to_owned(), MountSource::Volume(None)),
    };
    let read_only = parts.next().is_some_and(|mode| mode.split(',').any(|it| it == "ro"));
    Some(Mount { node, target, source, read_only })
}

fn read_long(node: &YamlNode) -> Option<Mount<'_>> {
    let text = |key: &str| {
        let value = node.get(key)?;
        Some(with_defaults(value.text()?, value))
    };
    let source = match text("type").as_deref() {
        Some("bind") => MountSource::Path(clean_path(text("source").unwrap_or_default())),
        _ => MountSource::Volume(text("source")),
    };
    let target = text("target").unwrap_or_default();
    let read_only = node.get("read_only").and_then(YamlNode::boolean) == Some(true);
    // How else it is mounted is left to the engine.
    node.accept();
    Some(Mount { node, target, source, read_only })
}

fn source(text: &str) -> MountSource {
    match text.starts_with(['.', '/', '~']) {
        true => MountSource::Path(clean_path(text)),
        false => MountSource::Volume(Some(text.to_owned())),
    }
}

/// Returns the path on this machine of a path in the container, if a mount has it.
pub(super) fn path_here(mounts: &[Mount<'_>], path: &str) -> Option<PathBuf> {
    let here = |mount: &Mount<'_>| match &mount.source {
        MountSource::Path(source) => {
            let rest = Path::new(path).strip_prefix(&mount.target).ok()?;
            Some((mount.target.len(), clean_path(source.join(rest))))
        }
        MountSource::Volume(_) => None,
    };
    mounts.iter().filter_map(here).max_by_key(|(length, _)| *length).map(|(_, path)| path)
}

/// Says for each mount of a command that it is not mounted, unless the command runs in it.
pub(super) fn note_mounts(mounts: &[Mount<'_>], dir: &Path) {
    for mount in mounts {
        match &mount.source {
            MountSource::Path(source) if dir.starts_with(source) => {}
            MountSource::Path(source) if source.starts_with(dir) && !source.is_absolute() => {
                mount.node.note(format!(
                    "not mounted at `{}`: the service finds it in its directory",
                    crate::text::escape_control(&mount.target)
                ));
            }
            MountSource::Path(_) => {
                mount.node.note("not mounted: the service must use its path on this machine");
            }
            MountSource::Volume(_) => {
                mount
                    .node
                    .note("not carried over: what the service writes stays where it writes it");
            }
        }
    }
}
