//! Checks that span services: dependencies, references, and ports that exclude each other.

use std::collections::{BTreeMap, BTreeSet};

use super::cycles;
use crate::model::{Condition, ConflictPolicy, Name, ServiceKind};
use crate::text::join;

use crate::config::diagnostics::{
    DiagnosticBuilder, LoadReport, Span, did_you_mean, quote, replicas_help,
};
use crate::config::spec::{
    DependencySpec, PortSpec, ReplicaSpec, ScopeSpec, ServiceSpec, StackSpec, split_replica_name,
};
use crate::config::template::{ServiceField, Template};

/// Checks dependencies and references, before replicas are created.
pub(super) fn check(spec: &StackSpec, report: &mut LoadReport) {
    for service in spec.services.values() {
        for (name, dependency) in &service.depends_on {
            if let Some(target) = spec.find_written(name.as_str()) {
                condition(target, dependency, report);
            }
        }
        for template in service.templates() {
            references(spec, spec.scope(service), template, report);
        }
    }
    for scope in &spec.scopes {
        for template in scope.env.values() {
            references(spec, scope, template, report);
        }
    }
    cycles::check_cycles(spec, report);
}

/// Returns the condition of a dependency. The default depends on the kind of its target.
pub(super) fn default_condition(target: &ServiceSpec, dependency: &DependencySpec) -> Condition {
    dependency.condition.unwrap_or(match target.kind {
        ServiceKind::Service => Condition::Ready,
        ServiceKind::Task => Condition::Completed,
    })
}

fn condition(target: &ServiceSpec, dependency: &DependencySpec, report: &mut LoadReport) {
    match (dependency.condition, target.kind) {
        (Some(Condition::Completed), ServiceKind::Service) => {
            let text = format!("`{}` never completes: it is not a task", target.name);
            let fault =
                DiagnosticBuilder::at(dependency.at, text).secondary(target.at, "this service");
            let help =
                format!("use \"ready\" or \"started\", or set kind = \"task\" for {}", target.name);
            report.error(fault.help(help));
        }
        (Some(Condition::Completed | Condition::Started | Condition::Ready) | None, _) => {}
    }
}

fn references(spec: &StackSpec, scope: &ScopeSpec, template: &Template, report: &mut LoadReport) {
    if report.is_full() {
        return;
    }
    template.services(&mut |name, field, at| {
        // A file refers only to its own services and to those of files that it includes.
        let target = spec.find_written(name).filter(|found| scope.visible.contains(&found.name));
        let Some(target) = target else {
            let text = format!("unknown service {}", quote(name));
            return report.error_at(at, text, unknown_service_help(spec, scope, name));
        };
        let port = match field {
            ServiceField::Host => return,
            ServiceField::Url | ServiceField::Origin | ServiceField::Port(None) => None,
            ServiceField::Port(Some(port)) => Some(port.as_str()),
        };
        if target.may_have_port(port) {
            return;
        }
        let fault = match port {
            None => DiagnosticBuilder::at(at, format!("service `{name}` has no port"))
                .help(format!("set `port = \"auto\"` or a number for {name}")),
            Some(port) => {
                let text = format!("service `{name}` has no port {}", quote(port));
                let names = target.ports.iter().map(|port| port.name.as_str());
                let help = did_you_mean(port, names, || format!("add it to `ports` of {name}"));
                DiagnosticBuilder::at(at, text).help(help)
            }
        };
        report.error(fault.secondary(target.at, "this service"));
    });
}

fn unknown_service_help(spec: &StackSpec, scope: &ScopeSpec, name: &str) -> String {
    let group = split_replica_name(name).and_then(|(group, _)| spec.find_written(group));
    match group.map(|group| (&group.name, &group.replicas)) {
        Some((group, ReplicaSpec::Many(of))) => replicas_help(group.as_str(), *of),
        Some((_, ReplicaSpec::One | ReplicaSpec::Member { .. })) | None => {
            let names: Vec<Name> =
                scope.visible.iter().map(|name| scope.local_name(name)).collect();
            did_you_mean(name, names.iter().map(Name::as_str), || {
                let all = join(&names, ", ");
                format!("available services: {all}; write `$$` for a literal dollar sign")
            })
        }
    }
}

/// Spreads services over different numbers where no user wrote the conflict: those with the same
/// default port from their presets, and those of files that do not know each other. Numbers of the
/// main file stay; the others count up in the order of files and names.
pub(super) fn spread_ports(spec: &mut StackSpec) {
    let main = spec.scopes.len().saturating_sub(1);
    let all = || spec.services.values().flat_map(|service| &service.ports);
    let written: BTreeSet<u16> =
        all().filter(|port| port.preset.is_none()).filter_map(|port| port.preferred).collect();
    let mut taken: BTreeMap<u16, usize> = BTreeMap::new();
    for scope in std::iter::once(main).chain(0..main) {
        let services = spec.services.values_mut().filter(|service| service.scope == scope);
        let ports = services.flat_map(|service| &mut service.ports);
        for port in ports.filter(|port| port.preset.is_none()) {
            let Some(first) = port.preferred else { continue };
            let elsewhere = taken.get(&first).is_some_and(|other| *other != scope);
            if elsewhere && port.on_conflict != ConflictPolicy::Fail {
                let is_free =
                    |number: &u16| !taken.contains_key(number) && !written.contains(number);
                port.preferred = (first..=u16::MAX).find(is_free);
            }
            port.preferred.map(|number| taken.entry(number).or_insert(scope));
        }
    }
    let usual = spec.services.values_mut().flat_map(|service| &mut service.ports);
    for port in usual.filter(|port| port.preset.is_some()) {
        let Some(first) = port.preferred else { continue };
        port.preferred = (first..=u16::MAX).find(|number| !taken.contains_key(number));
        port.preferred.map(|number| taken.insert(number, main));
    }
}

/// Reports services with the same preferred number. Runs after replicas are created.
pub(super) fn check_duplicate_ports<'a>(spec: &'a StackSpec, report: &mut LoadReport) {
    let mut taken: BTreeMap<u16, (&'a ServiceSpec, Span)> = BTreeMap::new();
    let own = |service: &'a ServiceSpec| service.ports.iter().map(move |port| (service, port));
    let mut ports: Vec<(&ServiceSpec, &PortSpec)> = spec.services.values().flat_map(own).collect();
    ports.sort_by_key(|(_, port)| port.at);
    for (service, port) in ports {
        let Some(number) = port.preferred else { continue };
        let Some((other, at)) = taken.get(&number) else {
            taken.insert(number, (service, port.at));
            continue;
        };
        let text = if other.name == service.name {
            format!("{} uses port {number} twice", service.name)
        } else {
            format!("{} and {} both use port {number}", other.name, service.name)
        };
        let fault = DiagnosticBuilder::at(port.at, text).secondary(*at, "first used here");
        let one = |service: &ServiceSpec| service.replicas == ReplicaSpec::One;
        let help = match one(service) && one(other) {
            true => "change one of them, or use \"auto\"",
            false => "leave room for the following replica ports, or use \"auto\"",
        };
        report.error(fault.help(help));
    }
}
