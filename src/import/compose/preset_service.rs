//! A service whose image becomes a preset: what the preset takes, and what it has of its own.

use super::compose_ports::ContainerPort;
use super::mounts::{Mount, MountSource};
use super::preset_images::{KnownImage, PresetVariable};
use super::service_command::compose_words;
use crate::import::ImportedService;
use crate::import::environment::{EnvEntry, clean_path, keep_last};
use crate::import::yaml::YamlNode;

/// Carries over the variables that a preset reads.
pub(super) fn preset_env<'a>(image: &KnownImage, env: Vec<EnvEntry<'a>>) -> Vec<EnvEntry<'a>> {
    let mut kept: Vec<EnvEntry<'a>> = Vec::new();
    for (name, value, node) in env {
        match image.variable(&name) {
            PresetVariable::Keep => kept.push((name, value, node)),
            PresetVariable::Rename(new) => {
                node.note(format!("becomes `{new}`"));
                kept.push((new.to_owned(), value, node));
            }
            PresetVariable::NoEffect(text) => node.note(format!("not carried over: {text}")),
        }
    }
    let find = |kept: &[EnvEntry<'a>], name: &str| kept.iter().position(|(it, ..)| it == name);
    if let (Some(user), None) = (find(&kept, "POSTGRES_USER"), find(&kept, "POSTGRES_DB")) {
        // The image names the first database after the user.
        let (_, value, node) = kept[user].clone();
        kept.push(("POSTGRES_DB".to_owned(), value, node));
    }
    keep_last(kept)
}

/// Carries over the ports that a preset has, and returns all that other services may ask for.
pub(super) fn preset_ports(
    image: &KnownImage,
    ports: Vec<ContainerPort>,
    node: &YamlNode,
    service: &mut ImportedService,
) -> Vec<ContainerPort> {
    let preset = image.preset().outline();
    let main = preset.ports().next().map(|(name, _)| name);
    for port in ports {
        match image.port_name(port.target) {
            None => {
                if let Some(node) = node.peek("ports") {
                    node.note(format!(
                        "port {} is not carried over: the preset does not have it",
                        port.target
                    ));
                }
            }
            Some(name) => {
                let usual = preset.ports().any(|known| known == (name, port.preferred()));
                let Some(_) = port.published.filter(|_| !usual) else { continue };
                match Some(name) == main {
                    true => service.port = Some(port.preferred()),
                    false => service.more_ports.push((name.to_owned(), port.preferred())),
                }
            }
        }
    }
    let target = |port| if image.preset().name == "nginx" && port == 8080 { 80 } else { port };
    preset
        .ports()
        .map(|(name, port)| ContainerPort {
            target: target(port),
            published: None,
            name: (Some(name) != main).then(|| name.to_owned()),
        })
        .collect()
}

pub(super) fn preset_mounts(
    image: &KnownImage,
    mounts: &[Mount<'_>],
    service: &mut ImportedService,
) {
    for mount in mounts {
        match &mount.source {
            MountSource::Path(path) if image.preset().name == "nginx" => {
                if mount.target.ends_with("/nginx.conf") && path.ends_with("nginx.conf") {
                    service.dir = path.parent().map(clean_path).unwrap_or_default();
                    mount.node.note("becomes `dir`: nginx.conf must listen on `${HOST}:${PORT}`");
                } else if mount.target.ends_with("/html") && service.dir.as_os_str().is_empty() {
                    service.dir.clone_from(path);
                } else {
                    mount.node.note("not mounted: name its path on this machine in nginx.conf");
                }
            }
            MountSource::Path(_) if mount.target.contains("initdb.d") => {
                mount.node.note("not carried over: run it as a task that depends on this service");
            }
            MountSource::Path(_) => {
                mount.node.note("not carried over: the preset does not read it");
            }
            MountSource::Volume => {
                mount.node.note(format!(
                    "not carried over: the data is in .devstack/data/{}",
                    service.name
                ));
            }
        }
    }
}

/// Says that a preset has a command of its own, unless the file only names the same program.
pub(super) fn preset_command(image: &KnownImage, node: &YamlNode) {
    for key in ["entrypoint", "command"] {
        let Some(command) = node.get(key) else { continue };
        let words = compose_words(command);
        let is_plain = matches!(words.as_slice(), [word] if image.programs().any(|it| it == word));
        if !is_plain {
            command.reject("not carried over: the preset has a command of its own");
        }
    }
    if let Some(check) = node.get("healthcheck") {
        check.reject("not carried over: the preset knows when it is ready");
    }
    if let Some(dir) = node.get("working_dir") {
        dir.reject("not carried over: the preset does not need it");
    }
}
