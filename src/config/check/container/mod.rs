//! `image`, `build` and the keys that only containers have.

mod source;
mod volumes;

use std::collections::BTreeMap;
use std::path::Path;

use super::ConfigChecker;
use super::preset::ChosenPreset;
use crate::config::diagnostics::Span;
use crate::config::parse::{RawTable, RawValue, SpannedValue};
use crate::config::spec::{CommandSpec, PortSpec, TemplateVars};
use crate::config::template::{Template, TemplateSyntax};
use crate::model::{
    ContainerConfig, ContainerEngine, ImageSource, MAIN_PORT, Name, PullPolicy, VolumeMount,
    VolumeSource,
};
use crate::presets::PresetImage;

pub(in crate::config) const PULL_POLICIES: [(&str, PullPolicy); 3] = [
    ("missing", PullPolicy::Missing),
    ("always", PullPolicy::Always),
    ("never", PullPolicy::Never),
];

pub(in crate::config) const ENGINES: [(&str, Option<ContainerEngine>); 3] = [
    ("auto", None),
    ("docker", Some(ContainerEngine::Docker)),
    ("podman", Some(ContainerEngine::Podman)),
];

/// Keys that mean something only in a container.
pub(in crate::config) const ONLY_CONTAINERS: [&str; 7] =
    ["args", "entrypoint", "user", "workdir", "volumes", "pull", "engine"];

/// Whether a service runs in a container. Wrong values of these keys are reported elsewhere.
pub(super) fn is_container(service: &RawTable<'_>) -> bool {
    service.contains_key("image") || service.contains_key("build")
}

impl ConfigChecker<'_, '_> {
    /// Checks how a service runs in a container. `at` is its name, `ports` are all its ports.
    pub(super) fn container(
        &mut self,
        (name, at): (&Name, Span),
        table: &RawTable<'_>,
        dir: &Path,
        engine: Option<ContainerEngine>,
        ports: &[&PortSpec],
        preset: Option<ChosenPreset>,
    ) -> Option<ContainerConfig<Template>> {
        if !is_container(table) {
            self.reject_container_keys(table, ports);
            return None;
        }
        self.reject_program_keys(table, ports);
        let wrong = || ImageSource::Image(Template::plain("wrong", at));
        let source = self.image_source(table, dir).unwrap_or_else(wrong);
        let inside_ports = self.inside_ports(ports, preset);
        let mut volumes = self.volumes(table, dir);
        volumes.extend(preset.and_then(|preset| data_volume(preset, name, &source, &volumes)));
        Some(ContainerConfig {
            source,
            entrypoint: self.get(table, "entrypoint", Self::words),
            user: self.get(table, "user", Self::full_text),
            workdir: self.get(table, "workdir", Self::full_text),
            volumes,
            pull: self
                .get(table, "pull", |check, key, node| check.keyword(key, node, &PULL_POLICIES))
                .unwrap_or_default(),
            engine: self.get(table, "engine", Self::engine).unwrap_or(engine),
            inside_ports,
        })
    }

    /// Returns the words after the image: those of `command`, else of the preset, then `args`.
    pub(super) fn container_command(
        &mut self,
        table: &RawTable<'_>,
        preset: Option<ChosenPreset>,
    ) -> CommandSpec {
        let mut words = match table.get("command") {
            Some(entry) => self.words("command", &entry.node).unwrap_or_default(),
            None => {
                let image = preset.filter(|_| table.contains_key("image")).and_then(preset_image);
                let at = preset.map(|preset| preset.at);
                let words =
                    image.iter().flat_map(|image| &image.command).zip(at.into_iter().cycle());
                words.map(|(word, at)| Template::plain(word, at)).collect()
            }
        };
        words.extend(self.get(table, "args", Self::words).unwrap_or_default());
        CommandSpec::Exec(words)
    }

    /// Checks words that no shell reads: an array, or a string that is split as a shell would.
    pub(super) fn words(&mut self, key: &str, node: &SpannedValue<'_>) -> Option<Vec<Template>> {
        match &node.value {
            RawValue::List(words) => {
                let words = words.iter().map(|word| {
                    let text = self.text(&format!("{key}[]"), word)?;
                    Some(self.template(text, word.at, TemplateSyntax::Full))
                });
                words.collect()
            }
            RawValue::Text(text) => match shell_words::split(text) {
                Ok(words) => {
                    let word = |word: &String| self.template(word, node.at, TemplateSyntax::Full);
                    Some(words.iter().map(word).collect())
                }
                Err(_) => {
                    let help = "close it, or write an array: [\"sh\", \"-c\", \"…\"]";
                    self.reject(node.at, format!("`{key}` has a quote that is not closed"), help)
                }
            },
            _ => self.type_error(key, "a string or an array of strings", node),
        }
    }

    /// Checks a text that may refer to services and variables.
    fn full_text(&mut self, key: &str, node: &SpannedValue<'_>) -> Option<Template> {
        let text = self.text(key, node)?;
        if text.is_empty() {
            return self.reject(node.at, format!("`{key}` is empty"), "remove it, or set a value");
        }
        Some(self.template(text, node.at, TemplateSyntax::Full))
    }

    pub(super) fn engine(
        &mut self,
        key: &str,
        node: &SpannedValue<'_>,
    ) -> Option<Option<ContainerEngine>> {
        self.keyword(key, node, &ENGINES)
    }

    /// Returns the port that the program listens on inside for each of its ports.
    fn inside_ports(
        &mut self,
        ports: &[&PortSpec],
        preset: Option<ChosenPreset>,
    ) -> BTreeMap<String, u16> {
        let mut inside_ports = BTreeMap::new();
        for (index, port) in ports.iter().enumerate() {
            let written = port.inside.map(|(number, _)| number);
            let inside = written.or_else(|| usual_port(preset?, port, index)).or(port.preferred);
            let Some(inside) = inside else {
                let key = match port.name.as_str() {
                    MAIN_PORT => "port".to_owned(),
                    name => format!("ports.{name}"),
                };
                let text = format!("`{key}` of a container needs a port inside");
                let help = "set the port that its program listens on: { prefer = \"auto\", inside = 8080 }";
                self.error_at(port.at, text, help);
                continue;
            };
            inside_ports.insert(port.name.clone(), inside);
        }
        inside_ports
    }

    fn reject_container_keys(&mut self, table: &RawTable<'_>, ports: &[&PortSpec]) {
        for key in ONLY_CONTAINERS {
            if let Some(entry) = table.get(key) {
                let help = match key {
                    "args" => "put the arguments into `command`, or set `image`",
                    "entrypoint" => "use `command`, or set `image`",
                    "workdir" => "use `dir`, or set `image`",
                    _ => "set `image` or `build`, or remove it",
                };
                self.error_at(entry.key, format!("`{key}` needs a container"), help);
            }
        }
        for (_, at) in ports.iter().filter_map(|port| port.inside) {
            let help =
                "set `image` or `build`, or remove it: a program listens on the port in `PORT`";
            self.error_at(at, "`inside` needs a container", help);
        }
        self.reject_healthcheck(table);
    }

    fn reject_healthcheck(&mut self, table: &RawTable<'_>) {
        for key in ["ready", "health"] {
            let Some(RawValue::Table(probes)) = table.get(key).map(|entry| &entry.node.value)
            else {
                continue;
            };
            if let Some(entry) = probes.get("healthcheck") {
                let help = "set `image` or `build`, or use `tcp`, `http` or `exec`";
                self.error_at(entry.key, "`healthcheck` needs a container", help);
            }
        }
    }

    /// Reports what cannot work in a container.
    fn reject_program_keys(&mut self, table: &RawTable<'_>, ports: &[&PortSpec]) {
        if let Some(entry) = table.get("start")
            && matches!(&entry.node.value, RawValue::Text(word) if word == "lazy")
        {
            let help = "remove `start`: a container starts with the stack";
            self.error_at(entry.key, "a container cannot be lazy", help);
        }
        for port in ports.iter().filter(|port| port.socket_activation) {
            let help = "remove `pass`: the engine publishes the port";
            self.error_at(port.at, "a container cannot be passed a socket", help);
        }
        if let Some(RawValue::Table(ready)) = table.get("ready").map(|entry| &entry.node.value)
            && let Some(entry) = ready.get("notify")
            && entry.node.value == RawValue::Boolean(true)
        {
            let help = "use `tcp`, `http`, `log`, `exec` or `healthcheck`";
            self.error_at(entry.key, "a container cannot send READY=1", help);
        }
    }
}

/// Returns the variables that a preset gives to its image.
pub(super) fn image_env(preset: ChosenPreset) -> TemplateVars {
    let image = preset_image(preset);
    let env = image.iter().flat_map(|image| &image.env);
    env.map(|(name, value)| (name.clone(), Template::plain(value, preset.at))).collect()
}

/// Returns the volume that keeps the data of a preset, unless the user mounts something there.
fn data_volume(
    preset: ChosenPreset,
    name: &Name,
    source: &ImageSource<Template>,
    volumes: &[VolumeMount],
) -> Option<VolumeMount> {
    let ImageSource::Image(image) = source else { return None };
    let image = image.static_text();
    let tag = image.rsplit_once(':').map(|(_, tag)| tag).filter(|tag| !tag.contains('/'));
    let target = preset_image(preset)?.data_of(tag)?;
    let is_below = |volume: &VolumeMount| {
        Path::new(&volume.target).starts_with(target)
            || Path::new(target).starts_with(&volume.target)
    };
    if volumes.iter().any(is_below) {
        return None;
    }
    let source = VolumeSource::Named(format!("{name}-data"));
    Some(VolumeMount { source, target: target.to_owned(), read_only: false })
}

fn preset_image(preset: ChosenPreset) -> Option<&'static PresetImage> {
    preset.preset.facts().image.as_ref()
}

/// Returns the number that a port usually has in the image of a preset: by its name, or as the main
/// port.
fn usual_port(preset: ChosenPreset, port: &PortSpec, index: usize) -> Option<u16> {
    let usual = preset.preset.outline();
    let named = usual.ports().find(|(name, _)| *name == port.name).map(|(_, number)| number);
    named.or_else(|| usual.port().filter(|_| index == 0))
}

/// Removes from the table of a preset what belongs to its own program.
pub(super) fn remove_program(base: &mut RawTable<'_>, preset: ChosenPreset) {
    for key in ["command", "debug", "watch", "tty", "dir"] {
        base.remove(key);
    }
    if let Some(RawValue::Table(ready)) = base.get_mut("ready").map(|entry| &mut entry.node.value) {
        // Its words are for the programs of this machine.
        let inside = preset_image(preset).and_then(|image| image.ready.as_deref());
        match (ready.get_mut("exec"), inside) {
            (Some(entry), Some(command)) => entry.node.value = RawValue::Text(command.into()),
            (Some(_), None) => drop(ready.remove("exec")),
            (None, _) => {}
        }
    }
    if let Some(RawValue::Table(ports)) = base.get_mut("ports").map(|entry| &mut entry.node.value) {
        // No other program is in the way inside.
        ports.retain(|_, port| !matches!(port.node.value, RawValue::Text(_)));
    }
}
