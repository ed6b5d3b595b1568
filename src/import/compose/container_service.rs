//! A service that stays a container: its image or build, and what only containers have.

use super::compose_ports::{ContainerPort, name_ports};
use super::mounts::{Mount, MountSource};
use super::preset_images::preset_of_image;
use super::service_command::{compose_words, plain_path};
use crate::import::environment::{EnvEntry, clean_path, read_env};
use crate::import::substitution::{to_template, with_defaults};
use crate::import::yaml::{YamlContent, YamlNode};
use crate::import::{ImportedCommand, ImportedContainer, ImportedImage, ImportedService};
use crate::model::{VolumeMount, VolumeSource, is_volume_name};
use crate::presets::Preset;

/// Reads what a service runs in a container. `None`: it says neither `image` nor `build`.
pub(super) fn container_service(
    node: &YamlNode,
    mounts: &[Mount<'_>],
    service: &mut ImportedService,
) -> Option<ImportedContainer> {
    let source = image_source(node)?;
    let mut container = ImportedContainer::of(source);
    container.entrypoint = node.get("entrypoint").map(compose_words);
    if let Some(command) = node.get("command") {
        let words = compose_words(command);
        service.command = (!words.is_empty()).then_some(ImportedCommand::Words(words));
    }
    let text = |key: &str| node.get(key).and_then(|node| Some(to_template(node.text()?, node)));
    container.user = text("user");
    container.workdir = text("working_dir");
    container.pull = node.get("pull_policy").and_then(pull_policy);
    for mount in mounts {
        if container.volumes.iter().any(|other| other.target == mount.target) {
            mount.node.reject("not carried over: another volume is mounted there");
        } else {
            container.volumes.extend(volume(mount));
        }
    }
    Some(container)
}

fn image_source(node: &YamlNode) -> Option<ImportedImage> {
    let Some(build) = node.get("build") else {
        let image = node.get("image")?;
        return Some(ImportedImage::Image(to_template(image.text()?, image)));
    };
    if let Some(image) = node.get("image") {
        // The name of what is built.
        image.accept();
    }
    let text = |key: &str| {
        let value = build.get(key)?;
        Some(with_defaults(value.text()?, value))
    };
    let context = match build.scalar() {
        Some(context) => with_defaults(context, build),
        None => text("context").unwrap_or_default(),
    };
    if let Some(inline) = build.get("dockerfile_inline") {
        inline.reject("not carried over: write it into a Dockerfile");
    }
    let args = build.get("args").map(read_env).unwrap_or_default();
    Some(ImportedImage::Build {
        context: clean_path(context),
        file: text("dockerfile"),
        target: build.get("target").and_then(|node| Some(to_template(node.text()?, node))),
        args: args.into_iter().map(|(name, value, _)| (name, value)).collect(),
    })
}

fn pull_policy(node: &YamlNode) -> Option<&'static str> {
    match plain_path(node)?.as_str() {
        "always" => Some("always"),
        "never" => Some("never"),
        "missing" | "if_not_present" => {
            node.accept();
            None
        }
        _ => {
            node.reject("not carried over: use `pull`, which is missing, always or never");
            None
        }
    }
}

fn volume(mount: &Mount<'_>) -> Option<VolumeMount> {
    let source = match &mount.source {
        MountSource::Path(path) if path.starts_with("~") => {
            mount.node.reject("not carried over: write the whole path into `volumes`");
            return None;
        }
        MountSource::Path(path) => VolumeSource::Bind(path.clone()),
        MountSource::Volume(None) => VolumeSource::Anonymous,
        MountSource::Volume(Some(name)) if is_volume_name(name) => {
            VolumeSource::Named(name.clone())
        }
        MountSource::Volume(Some(_)) => {
            mount.node.reject("not carried over: it is not the name of a volume");
            return None;
        }
    };
    let target = mount.target.trim_end_matches('/');
    let is_plain = |text: &str| !text.contains([':', '$']);
    let path = match &source {
        VolumeSource::Bind(path) => path.to_string_lossy().into_owned(),
        VolumeSource::Named(_) | VolumeSource::Anonymous => String::new(),
    };
    if !target.starts_with('/') || !is_plain(target) || !is_plain(&path) {
        mount.node.reject("not carried over: `volumes` cannot name these paths");
        return None;
    }
    Some(VolumeMount { source, target: target.to_owned(), read_only: mount.read_only })
}

/// Returns the preset that fits the image of a service: one that needs no other port, and changes
/// nothing that the service says.
pub(super) fn preset_of(
    container: &ImportedContainer,
    ports: &[ContainerPort],
) -> Option<&'static Preset> {
    let ImportedImage::Image(image) = &container.source else { return None };
    let preset = preset_of_image(image)?;
    let known =
        |port: &ContainerPort| preset.outline().ports().any(|(_, number)| number == port.target);
    ports.iter().all(known).then_some(preset)
}

/// Carries over the ports: those of the preset only if they are published elsewhere. Returns all that
/// other services may ask for.
pub(super) fn container_ports(
    preset: Option<&'static Preset>,
    ports: Vec<ContainerPort>,
    service: &mut ImportedService,
    container: &mut ImportedContainer,
) -> Vec<ContainerPort> {
    let Some(preset) = preset else { return own_ports(ports, service, container) };
    service.preset = Some(preset.name.to_owned());
    let all: Vec<(&str, u16)> = preset.outline().ports().collect();
    for port in ports.iter().filter(|port| port.published.is_some()) {
        let Some((name, usual)) = all.iter().find(|(_, number)| *number == port.target) else {
            continue;
        };
        let wanted = port.preferred();
        match *name {
            _ if wanted == *usual => {}
            "main" => service.port = Some(wanted),
            name => service.more_ports.push((name.to_owned(), wanted)),
        }
    }
    let place = |(at, (name, number)): (usize, &(&str, u16))| ContainerPort {
        target: *number,
        published: None,
        name: (at > 0).then(|| (*name).to_owned()),
    };
    all.iter().enumerate().map(place).collect()
}

fn own_ports(
    mut ports: Vec<ContainerPort>,
    service: &mut ImportedService,
    container: &mut ImportedContainer,
) -> Vec<ContainerPort> {
    name_ports(&mut ports, service);
    for port in ports.iter().filter(|port| port.preferred() != port.target) {
        let name = port.name.clone().unwrap_or_else(|| "main".to_owned());
        container.inside_ports.push((name, port.target));
    }
    ports
}

/// Returns the variables of a container: it has only those that are named.
pub(super) fn container_env<'a>(
    node: &'a YamlNode,
    preset: Option<&'static Preset>,
) -> Vec<EnvEntry<'a>> {
    let Some(env) = node.get("environment") else { return Vec::new() };
    let mut entries = read_env(env);
    let mut pass = |name: &str, node| {
        if !entries.iter().any(|(known, ..)| known == name) {
            entries.push((name.to_owned(), format!("${{{name}:-}}"), node));
        }
    };
    match &env.content {
        YamlContent::List(items) => {
            for item in items {
                if let Some(name) = item.peek_scalar().filter(|text| !text.contains('=')) {
                    pass(name, item);
                }
            }
        }
        YamlContent::Map(entries) => {
            for (name, value) in entries.iter().filter(|(_, value)| value.is_null()) {
                pass(name, value);
            }
        }
        YamlContent::Null | YamlContent::Scalar { .. } => {}
    }
    let of = |name: &str| entries.iter().find(|(known, ..)| known == name);
    if preset.is_some_and(|preset| preset.name == "postgres")
        && let (Some((_, user, node)), None) = (of("POSTGRES_USER"), of("POSTGRES_DB"))
    {
        // The image names the first database after the user, the preset does not.
        entries.push(("POSTGRES_DB".to_owned(), user.clone(), node));
    }
    entries
}
