//! Checks that span services: dependencies, references, and ports that exclude each other.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Condition, Name, ServiceKind};

use crate::config::diagnostics::{
    DiagnosticBuilder, LoadReport, Span, did_you_mean, quote, replicas_help,
};
use crate::config::spec::{
    DependencySpec, PortSpec, ReplicaSpec, ServiceSpec, StackSpec, split_replica_name,
};
use crate::config::template::{ServiceField, Template};

/// How many places of a cycle a diagnostic shows.
const MAX_MARKS: usize = 8;

/// Checks dependencies and references, before replicas are created.
pub(super) fn check(spec: &StackSpec, report: &mut LoadReport) {
    for service in spec.services.values() {
        for (name, dependency) in &service.depends_on {
            if let Some(target) = spec.find_written(name.as_str()) {
                condition(target, dependency, report);
            }
        }
        for template in service.templates() {
            references(spec, template, report);
        }
    }
    for template in spec.env.values() {
        references(spec, template, report);
    }
    check_cycles(spec, report);
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

fn references(spec: &StackSpec, template: &Template, report: &mut LoadReport) {
    if report.is_full() {
        return;
    }
    template.services(&mut |name, field, at| {
        let Some(target) = spec.find_written(name) else {
            let text = format!("unknown service {}", quote(name));
            report.error(DiagnosticBuilder::at(at, text).help(unknown_service_help(spec, name)));
            return;
        };
        let port = match field {
            ServiceField::Host => return,
            ServiceField::Url | ServiceField::Port(None) => None,
            ServiceField::Port(Some(port)) => Some(port.as_str()),
        };
        if target.has_port(port) {
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

fn unknown_service_help(spec: &StackSpec, name: &str) -> String {
    let group = split_replica_name(name).and_then(|(group, _)| spec.find_written(group));
    match group.map(|group| (&group.name, &group.replicas)) {
        Some((group, ReplicaSpec::Many(of))) => replicas_help(group.as_str(), *of),
        Some((_, ReplicaSpec::One | ReplicaSpec::Member { .. })) | None => {
            let names = spec.services.keys().map(Name::as_str);
            let known: Vec<&str> = names.clone().collect();
            did_you_mean(name, names, || {
                format!(
                    "available services: {}; write `$$` for a literal dollar sign",
                    known.join(", ")
                )
            })
        }
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

#[derive(Clone, Copy, PartialEq, Eq)]
enum VisitState {
    Open,
    Done,
}

/// Reports each cycle once, as a path. Iterative, because a chain can span all services.
fn check_cycles(spec: &StackSpec, report: &mut LoadReport) {
    let mut marks: BTreeMap<&Name, VisitState> = BTreeMap::new();
    let mut told: BTreeSet<Vec<&Name>> = BTreeSet::new();
    for start in spec.services.keys() {
        if marks.contains_key(start) {
            continue;
        }
        let mut path = vec![start];
        let mut ahead = vec![spec.services[start].depends_on.keys()];
        marks.insert(start, VisitState::Open);
        while let Some(next) = ahead.last_mut() {
            let Some(name) = next.next() else {
                ahead.pop();
                marks.extend(path.pop().map(|done| (done, VisitState::Done)));
                continue;
            };
            // Replicas are searched as one service: they are in a cycle together or not at all.
            let Some(service) = spec.find_written(name.as_str()) else { continue };
            let name = &service.name;
            match marks.get(name) {
                None => {
                    marks.insert(name, VisitState::Open);
                    path.push(name);
                    ahead.push(service.depends_on.keys());
                }
                Some(VisitState::Open) => {
                    let first = path.iter().position(|entry| *entry == name).unwrap_or(0);
                    let cycle = rotate_to_smallest(&path[first..]);
                    if !report.is_full() && told.insert(cycle.clone()) {
                        report.error(cycle_fault(spec, &cycle));
                    }
                }
                Some(VisitState::Done) => {}
            }
        }
    }
}

/// Rotates a cycle so that it starts at its smallest name.
fn rotate_to_smallest<'a>(cycle: &[&'a Name]) -> Vec<&'a Name> {
    let smallest = (0..cycle.len()).min_by_key(|&index| cycle[index]).unwrap_or(0);
    let (before, after) = cycle.split_at(smallest);
    after.iter().chain(before).copied().collect()
}

fn cycle_fault(spec: &StackSpec, cycle: &[&Name]) -> DiagnosticBuilder {
    let names: Vec<&str> = cycle.iter().chain(cycle.first()).map(|name| name.as_str()).collect();
    let shown = if names.len() > 2 * MAX_MARKS {
        let (head, tail) = (&names[..MAX_MARKS], &names[names.len() - MAX_MARKS..]);
        format!("{} → … → {}", head.join(" → "), tail.join(" → "))
    } else {
        names.join(" → ")
    };
    let text = format!("dependency cycle: {shown}");
    let edge = |index: usize| {
        let (from, to) = (&spec.services[cycle[index]], cycle[(index + 1) % cycle.len()]);
        let is_meant =
            |name: &Name| spec.find_written(name.as_str()).is_some_and(|s| s.name == *to);
        let meant = from.depends_on.iter().find(|(name, _)| is_meant(name));
        let at = meant.map_or(from.at, |(_, dependency)| dependency.at);
        (at, format!("{} waits for {to}", from.name))
    };
    let (at, label) = edge(0);
    let mut fault = DiagnosticBuilder::at(at, text).label(label);
    for index in 1..cycle.len().min(MAX_MARKS) {
        let (at, label) = edge(index);
        fault = fault.secondary(at, label);
    }
    fault.help("break the cycle by removing one of these dependencies")
}
