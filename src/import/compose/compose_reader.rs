//! Reads services in two passes: what each is, then what they say about each other.

use std::collections::{BTreeMap, BTreeSet};

use super::compose_ports::{ContainerPort, read_ports};
use super::healthcheck::read_healthcheck;
use super::mounts::{Mount, MountSource, note_mounts, read_mounts};
use super::preset_images::{PresetImage, PresetVariable};
use super::service_command::{bind_to_assigned, compose_words};
use super::service_form::{ComposeFiles, ServiceForm};
use super::service_hosts::{ServiceHost, ServiceHosts, not_in_stack, port_reference};
use crate::import::environment::{EnvEntry, clean_path, keep_last, read_env};
use crate::import::service_names::ServiceNames;
use crate::import::substitution::with_defaults;
use crate::import::yaml::{YamlContent, YamlNode};
use crate::import::{ImportedCommand, ImportedProbe, ImportedService, ProbeTest, replicas};
use crate::model::{Condition, Name, RestartPolicy, signal_name, signal_number};
use crate::text::quote;

/// Names of variables that hold the host of a service.
const HOST_SUFFIXES: [&str; 5] = ["HOST", "HOSTNAME", "SERVER", "ADDRESS", "ADDR"];

/// A service after the first pass.
struct ServiceDraft<'a> {
    /// Its name in the file.
    written: &'a str,
    node: &'a YamlNode,
    /// The image in whose place a preset is.
    image: Option<&'static PresetImage>,
    service: ImportedService,
    env: Vec<EnvEntry<'a>>,
    /// The main one first.
    ports: Vec<ContainerPort>,
}

/// Reads all services of a file.
pub(super) fn read_services(
    services: &[(String, YamlNode)],
    files: &mut ComposeFiles<'_>,
) -> Vec<ImportedService> {
    let names = ServiceNames::choose(services);
    let tasks = completed_services(services);
    let mut hosts = ServiceHosts::default();
    let mut drafts = Vec::new();
    for (written, node) in services {
        let name = names.get(written).expect("every service has a name").to_owned();
        let is_task = tasks.contains(written.as_str());
        let service = ImportedService { name, is_task, ..ImportedService::default() };
        let draft = first_pass(written, service, node, files);
        let host = draft.as_ref().map(ServiceDraft::host).unwrap_or_default();
        for alias in ["container_name", "hostname"] {
            if let Some(alias) = node.peek_text(alias) {
                hosts.add(alias, host.clone());
            }
        }
        hosts.add(written, host);
        drafts.extend(draft);
    }
    drafts.into_iter().map(|draft| second_pass(draft, &hosts)).collect()
}

/// Returns the services of which others wait until they have completed: tasks.
fn completed_services(services: &[(String, YamlNode)]) -> BTreeSet<&str> {
    let all = services.iter().filter_map(|(_, node)| node.peek("depends_on"));
    let entries = all.flat_map(|on| match &on.content {
        YamlContent::Map(entries) => entries.as_slice(),
        YamlContent::Null | YamlContent::Scalar { .. } | YamlContent::List(_) => &[],
    });
    let completed =
        |on: &YamlNode| on.peek_text("condition") == Some("service_completed_successfully");
    entries.filter(|(_, on)| completed(on)).map(|(name, _)| name.as_str()).collect()
}

impl ServiceDraft<'_> {
    /// What its host names stand for.
    fn host(&self) -> ServiceHost {
        ServiceHost {
            name: Some(self.service.name.clone()),
            ports: self.ports.clone(),
            is_task: self.service.is_task,
            login: self.image.and_then(PresetImage::login),
        }
    }
}

fn first_pass<'a>(
    written: &'a str,
    mut service: ImportedService,
    node: &'a YamlNode,
    files: &mut ComposeFiles<'_>,
) -> Option<ServiceDraft<'a>> {
    let mounts = read_mounts(node);
    let form = files.form(written, node, &mounts);
    let mut image = None;
    let mut env = node.get("environment").map(read_env).unwrap_or_default();
    let mut ports = read_ports(node);
    match form {
        ServiceForm::Container => return None,
        ServiceForm::Preset(found) => {
            let image = *image.insert(found);
            service.preset = Some(image.preset().name.to_owned());
            if let Some(image_node) = node.get("image") {
                image_node.note(format!(
                    "becomes the preset `{}`: what is installed on this machine runs{}",
                    image.preset().name,
                    image.remark
                ));
            }
            env = preset_env(image, env);
            ports = preset_ports(image, ports, node, &mut service);
            preset_mounts(image, &mounts, &mut service);
            preset_command(image, node);
        }
        ServiceForm::Command { command, dir, exposed } => {
            note_mounts(&mounts, &dir);
            service.dir = dir;
            note_container_path(node, &command);
            service.command = Some(command);
            command_ports(node, exposed, &mut ports, &mut service, &mut env);
        }
    }
    common_keys(node, &mut service);
    Some(ServiceDraft { written, node, image, service, env, ports })
}

/// Carries over the variables that a preset reads.
fn preset_env<'a>(image: &PresetImage, env: Vec<EnvEntry<'a>>) -> Vec<EnvEntry<'a>> {
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
fn preset_ports(
    image: &PresetImage,
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

fn preset_mounts(image: &PresetImage, mounts: &[Mount<'_>], service: &mut ImportedService) {
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
fn preset_command(image: &PresetImage, node: &YamlNode) {
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

/// Carries over the ports of a command, which must listen where devstack says.
fn command_ports(
    node: &YamlNode,
    exposed: Vec<u16>,
    ports: &mut Vec<ContainerPort>,
    service: &mut ImportedService,
    env: &mut Vec<EnvEntry<'_>>,
) {
    for target in exposed {
        if ports.iter().all(|port| port.target != target) {
            ports.push(ContainerPort { target, published: None, name: None });
        }
    }
    let Some(main) = ports.first().cloned() else { return };
    service.port = Some(main.preferred());
    ports[0].name = None;
    let mut taken = BTreeSet::from(["main".to_owned()]);
    for port in &mut ports[1..] {
        let name = port.name.take().filter(|name| !taken.contains(name));
        let name = name.unwrap_or_else(|| format!("p{}", port.target));
        taken.insert(name.clone());
        service.more_ports.push((name.clone(), port.preferred()));
        port.name = Some(name);
    }
    let mut listens = false;
    env.retain(|(name, value, node)| match name.as_str() {
        "PORT" => {
            listens = *value == main.target.to_string();
            node.note("not carried over: devstack sets PORT to the assigned port");
            false
        }
        "HOST" => {
            node.note("not carried over: devstack sets HOST to the address to listen on");
            false
        }
        _ => true,
    });
    let command = service.command.as_mut().expect("a service with a command");
    let at = node.peek("command").or(node.peek("entrypoint")).unwrap_or(node);
    if bind_to_assigned(command, main.target) {
        at.note(format!("listens on `${{PORT}}` instead of {}", main.target));
    } else if !listens && !mentions_port(command) {
        at.note(format!(
            "it must listen on `$PORT`, which may be another port than {}",
            main.target
        ));
    }
}

/// Says that a program is named by its path in the container, unless every system has it there.
fn note_container_path(node: &YamlNode, command: &ImportedCommand) {
    let words = match command {
        ImportedCommand::Shell(text) => text.split_whitespace().next(),
        ImportedCommand::Words(words) => words.first().map(String::as_str),
    };
    let program = words.filter(|word| word.starts_with('/'));
    let is_system = |word: &str| word.starts_with("/bin/") || word.starts_with("/usr/bin/");
    if let Some(program) = program.filter(|word| !is_system(word)) {
        let at = node.peek("entrypoint").or(node.peek("command")).unwrap_or(node);
        at.note(format!(
            "{} is a path in the container: use the one on this machine",
            quote(program)
        ));
    }
}

fn mentions_port(command: &ImportedCommand) -> bool {
    let text = match command {
        ImportedCommand::Shell(text) => text.clone(),
        ImportedCommand::Words(words) => words.join(" "),
    };
    text.contains("$PORT") || text.contains("${PORT")
}

/// Reads the keys that commands and presets have in common.
fn common_keys(node: &YamlNode, service: &mut ImportedService) {
    if let Some(files) = node.get("env_file") {
        for file in files.one_or_more() {
            let path = file.get("path").unwrap_or(file);
            let Some(text) = path.text() else { continue };
            let optional = file.get("required").and_then(YamlNode::boolean) == Some(false);
            service.env_files.push((clean_path(with_defaults(text, path)), optional));
        }
    }
    if let Some(restart) = node.get("restart") {
        service.restart = read_restart(restart);
        if service.is_task && service.restart == Some(RestartPolicy::Always) {
            restart.note("not carried over: others wait until it has completed");
            service.restart = None;
        }
    }
    if let Some(signal) = node.get("stop_signal")
        && let Some(text) = signal.text()
    {
        let number = signal_number(text).or_else(|| text.parse().ok());
        service.stop_signal = number.and_then(signal_name).map(str::to_owned);
        if service.stop_signal.is_none() {
            signal.note(format!("not carried over: unknown signal {}", quote(text)));
        }
    }
    service.stop_grace = node.get("stop_grace_period").and_then(YamlNode::duration);
    for profile in node.get("profiles").map(YamlNode::items).unwrap_or_default() {
        let Some(text) = profile.text() else { continue };
        match Name::nearest(text) {
            Some(name) => {
                if name.as_str() != text {
                    profile.note(format!("becomes `{name}`: names have only a-z, 0-9 and `-`"));
                }
                service.profiles.push(name.to_string());
            }
            None => {
                profile.reject(format!("not carried over: {} is not a valid name", quote(text)))
            }
        }
    }
    let deploy = node.get("deploy");
    let scale = node.get("scale").or_else(|| deploy.and_then(|deploy| deploy.get("replicas")));
    if let Some(scale) = scale {
        service.is_manual = scale.scalar() == Some("0");
        service.replicas = replicas(scale);
        if service.is_manual {
            scale.note("becomes `autostart = false`");
        }
    }
}

fn read_restart(node: &YamlNode) -> Option<RestartPolicy> {
    let text = with_defaults(node.text()?, node);
    let (policy, limit) = text.split_once(':').unwrap_or((&text, ""));
    if !limit.is_empty() {
        node.note(format!("the limit is not carried over: set `restart = {{ max = {limit} }}`"));
    }
    match policy {
        "no" | "false" => Some(RestartPolicy::No),
        "on-failure" => Some(RestartPolicy::OnFailure),
        "always" | "unless-stopped" => Some(RestartPolicy::Always),
        _ => {
            node.note(format!("not carried over: unknown policy {}", quote(&text)));
            None
        }
    }
}

/// Puts references in the place of other services, and finishes a service.
fn second_pass(draft: ServiceDraft<'_>, hosts: &ServiceHosts) -> ImportedService {
    let ServiceDraft { written, node, mut service, env, ports, .. } = draft;
    service.env = rewritten_env(env, &service.name, hosts);
    let at = node.peek("command").or(node.peek("entrypoint")).unwrap_or(node);
    match &mut service.command {
        Some(ImportedCommand::Shell(text)) => *text = hosts.rewrite(text, at),
        Some(ImportedCommand::Words(words)) => {
            words.iter_mut().for_each(|word| *word = hosts.rewrite(word, at));
        }
        None => {}
    }
    if service.command.is_some()
        && let Some(check) = node.get("healthcheck")
        && !reject_for_task(check, service.is_task)
        && let Some((ready, health)) = read_healthcheck(check, &service.name, &ports)
    {
        // A check of itself by its own name.
        let rewrite = |probe: ImportedProbe| match probe.test {
            ProbeTest::Exec(ImportedCommand::Shell(text)) => {
                let text = hosts.rewrite(&text, check);
                ImportedProbe { test: ProbeTest::Exec(ImportedCommand::Shell(text)), ..probe }
            }
            _ => probe,
        };
        (service.ready, service.health) = (Some(rewrite(ready)), Some(health));
    }
    if let Some(on) = node.get("depends_on") {
        service.depends_on = read_dependencies(on, written, hosts);
    }
    service
}

/// Rejects a check of a task, which is done when it exits.
fn reject_for_task(check: &YamlNode, is_task: bool) -> bool {
    if is_task {
        check.reject("not carried over: others wait until it has completed");
    }
    is_task
}

fn rewritten_env(env: Vec<EnvEntry<'_>>, own: &str, hosts: &ServiceHosts) -> Vec<(String, String)> {
    // `DB_HOST: db` says which service `DB_PORT` is about.
    let host_of = |name: &str, value: &str| {
        let prefix = HOST_SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix))?;
        Some((prefix.to_owned(), hosts.get(value)?))
    };
    let prefixes: BTreeMap<String, &ServiceHost> =
        env.iter().filter_map(|(name, value, _)| host_of(name, value)).collect();
    let rewrite = |(name, value, node): EnvEntry<'_>| {
        let rewritten = match (host_of(&name, &value), hosts.get(&value)) {
            (Some((_, ServiceHost { name: Some(host), .. })), _) => format!("${{{host}.host}}"),
            (Some((_, ServiceHost { name: None, .. })), _) => {
                node.note(not_in_stack(&value));
                value
            }
            (None, Some(ServiceHost { name: Some(host), .. })) if host != own => {
                node.note(format!("use `${{{host}.host}}` if this is the host of the service"));
                value
            }
            (None, _) => port_of(&name, &value, &prefixes, node)
                .unwrap_or_else(|| hosts.rewrite(&value, node)),
        };
        (name, rewritten)
    };
    env.into_iter().map(rewrite).collect()
}

/// Returns the reference for `DB_PORT: 5432` beside `DB_HOST: db`.
fn port_of(
    name: &str,
    value: &str,
    prefixes: &BTreeMap<String, &ServiceHost>,
    node: &YamlNode,
) -> Option<String> {
    let host = prefixes.get(name.strip_suffix("PORT")?)?;
    let service = host.name.as_deref()?;
    let port: u16 = value.parse().ok()?;
    let Some(port) = host.ports.iter().find(|known| known.target == port) else {
        node.note(format!("use `${{{service}.port}}` if this is the port of {service}"));
        return None;
    };
    Some(port_reference(service, port.name.as_deref()))
}

fn read_dependencies(
    node: &YamlNode,
    written: &str,
    hosts: &ServiceHosts,
) -> Vec<(String, Condition)> {
    let mut dependencies: Vec<(String, Condition)> = Vec::new();
    let mut add = |name: &str, condition, at: &YamlNode| match hosts.get(name) {
        _ if name == written => at.reject("not carried over: it is the service itself"),
        Some(ServiceHost { name: Some(name), is_task, .. }) => {
            // A task is never ready, only completed.
            let condition = match condition {
                Condition::Ready if *is_task => Condition::Completed,
                condition => condition,
            };
            if dependencies.iter().all(|(known, _)| known != name) {
                dependencies.push((name.clone(), condition));
            }
        }
        Some(ServiceHost { name: None, .. }) => {
            at.reject(format!("not carried over: {} is not part of this stack", quote(name)));
        }
        None => at.reject(format!("not carried over: there is no service {}", quote(name))),
    };
    if node.is_list() {
        for item in node.items() {
            if let Some(name) = item.text() {
                add(name, Condition::Ready, item);
            }
        }
        return dependencies;
    }
    for (name, on) in node.entries() {
        if on.peek_text("required") == Some("true") {
            on.get("required").into_iter().for_each(YamlNode::accept);
        }
        let condition = match on.get("condition").and_then(YamlNode::text) {
            Some("service_started") => Condition::Started,
            Some("service_healthy") | None => Condition::Ready,
            Some("service_completed_successfully") => Condition::Completed,
            Some(other) => {
                on.note(format!("unknown condition {}: now waits until it is ready", quote(other)));
                Condition::Ready
            }
        };
        add(name, condition, on);
    }
    dependencies
}
