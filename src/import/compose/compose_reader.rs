//! Reads services in two passes: what each is, then what they say about each other.

use std::collections::BTreeSet;

use super::command_service::{command_ports, note_container_path};
use super::compose_ports::{ContainerPort, read_ports};
use super::container_service::{container_env, container_ports, container_service, preset_of};
use super::healthcheck::read_healthcheck;
use super::host_variables::rewritten_env;
use super::mounts::{note_mounts, read_mounts};
use super::service_form::{ComposeFiles, ServiceForm};
use super::service_hosts::{ServiceHost, ServiceHosts};
use super::service_keys::common_keys;
use crate::import::environment::{EnvEntry, read_env};
use crate::import::service_names::ServiceNames;
use crate::import::yaml::{YamlContent, YamlNode};
use crate::import::{ImportedCommand, ImportedProbe, ImportedService, ProbeTest};
use crate::model::Condition;
use crate::text::quote;

/// A service after the first pass.
struct ServiceDraft<'a> {
    /// Its name in the file.
    written: &'a str,
    node: &'a YamlNode,
    service: ImportedService,
    env: Vec<EnvEntry<'a>>,
    /// The main one first.
    ports: Vec<ContainerPort>,
}

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
                hosts.add_alias(alias, host.clone());
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
    let form = files.form(node, &mounts);
    let mut env;
    let mut ports = read_ports(node);
    match form {
        ServiceForm::Nothing => return None,
        ServiceForm::Container => {
            let mut container = container_service(node, &mounts, &mut service)?;
            let preset = preset_of(&container, &ports);
            env = container_env(node, preset);
            ports = container_ports(preset, ports, &mut service, &mut container);
            service.container = Some(container);
        }
        ServiceForm::Command { command, dir, exposed } => {
            env = node.get("environment").map(read_env).unwrap_or_default();
            note_mounts(&mounts, &dir);
            service.dir = dir;
            note_container_path(node, &command);
            service.command = Some(command);
            command_ports(node, exposed, &mut ports, &mut service, &mut env);
        }
    }
    common_keys(node, &mut service);
    Some(ServiceDraft { written, node, service, env, ports })
}

/// Puts references in the place of other services, and finishes a service.
fn second_pass(draft: ServiceDraft<'_>, hosts: &ServiceHosts) -> ImportedService {
    let ServiceDraft { written, node, mut service, env, ports, .. } = draft;
    let inside = service.container.is_some();
    service.env = rewritten_env(env, &service.name, hosts, inside);
    let at = node.peek("command").or(node.peek("entrypoint")).unwrap_or(node);
    match &mut service.command {
        Some(ImportedCommand::Shell(text)) => *text = hosts.rewrite(text, at, inside),
        Some(ImportedCommand::Words(words)) => {
            words.iter_mut().for_each(|word| *word = hosts.rewrite(word, at, inside));
        }
        None => {}
    }
    // A check of a container stays one inside.
    let own_ports = if inside { &[] } else { ports.as_slice() };
    if let Some(check) = node.get("healthcheck")
        && !reject_for_task(check, service.is_task)
        && let Some((ready, health)) = read_healthcheck(check, &service.name, own_ports)
    {
        // A check of itself by its own name.
        let rewrite = |probe: ImportedProbe| match probe.test {
            ProbeTest::Exec(ImportedCommand::Shell(text)) => {
                let text = hosts.rewrite(&text, check, inside);
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

fn read_dependencies(
    node: &YamlNode,
    written: &str,
    hosts: &ServiceHosts,
) -> Vec<(String, Condition)> {
    let mut dependencies: Vec<(String, Condition)> = Vec::new();
    let mut known = BTreeSet::new();
    let mut add = |name: &str, condition, at: &YamlNode| match hosts.get(name) {
        _ if name == written => at.reject("not carried over: a service cannot depend on itself"),
        Some(ServiceHost { name: Some(name), is_task, .. }) => {
            // A task is never ready, only completed.
            let condition = match condition {
                Condition::Ready if *is_task => Condition::Completed,
                condition => condition,
            };
            if known.insert(name.clone()) {
                dependencies.push((name.clone(), condition));
            }
        }
        Some(ServiceHost { name: None, .. }) => {
            at.reject(format!("not carried over: {} is not part of this stack", quote(name)));
        }
        None => at.reject(format!("not carried over: unknown service {}", quote(name))),
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
