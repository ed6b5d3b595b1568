//! Checks that span services: dependencies, references, and ports that exclude each other.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Condition, Name, ServiceKind};

use super::fault::Fault;
use super::place::Place;
use super::report::Report;
use super::spec::{Dependency, PortSpec, Replicas, ServiceSpec, StackSpec, replica};
use super::suggest::{did_you_mean, quote, replicas_help};
use super::template::{Field, Template};

/// How many places of a cycle a diagnostic shows.
const MAX_MARKS: usize = 8;

/// Checks dependencies and references, before replicas are created.
pub(super) fn check(spec: &StackSpec, report: &mut Report) {
    for service in spec.services.values() {
        for (name, dependency) in &service.depends_on {
            if let Some(target) = spec.written(name.as_str()) {
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
    cycles(spec, report);
}

/// Returns the condition of a dependency. The default depends on the kind of its target.
pub(super) fn meant(target: &ServiceSpec, dependency: &Dependency) -> Condition {
    dependency.condition.unwrap_or(match target.kind {
        ServiceKind::Service => Condition::Ready,
        ServiceKind::Task => Condition::Completed,
    })
}

fn condition(target: &ServiceSpec, dependency: &Dependency, report: &mut Report) {
    match (dependency.condition, target.kind) {
        (Some(Condition::Completed), ServiceKind::Service) => {
            let text = format!("`{}` never completes: it is not a task", target.name);
            let fault = Fault::at(dependency.at, text).also(target.at, "this service");
            let help =
                format!("use \"ready\" or \"started\", or set kind = \"task\" for {}", target.name);
            report.push(fault.help(help));
        }
        (Some(Condition::Completed | Condition::Started | Condition::Ready) | None, _) => {}
    }
}

fn references(spec: &StackSpec, template: &Template, report: &mut Report) {
    if report.is_full() {
        return;
    }
    template.services(&mut |name, field, at| {
        let Some(target) = spec.written(name) else {
            let text = format!("unknown service {}", quote(name));
            report.push(Fault::at(at, text).help(no_service(spec, name)));
            return;
        };
        let port = match field {
            Field::Host => return,
            Field::Url | Field::Port(None) => None,
            Field::Port(Some(port)) => Some(port.as_str()),
        };
        if target.has_port(port) {
            return;
        }
        let fault = match port {
            None => Fault::at(at, format!("service `{name}` has no port"))
                .help(format!("set `port = \"auto\"` or a number for {name}")),
            Some(port) => {
                let text = format!("service `{name}` has no port {}", quote(port));
                let names = target.ports.iter().map(|port| port.name.as_str());
                let help = did_you_mean(port, names, || format!("add it to `ports` of {name}"));
                Fault::at(at, text).help(help)
            }
        };
        report.push(fault.also(target.at, "this service"));
    });
}

fn no_service(spec: &StackSpec, name: &str) -> String {
    let group = replica(name).and_then(|(group, _)| spec.written(group));
    match group.map(|group| (&group.name, &group.replicas)) {
        Some((group, Replicas::Many(of))) => replicas_help(group.as_str(), *of),
        Some((_, Replicas::One | Replicas::Member { .. })) | None => {
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
pub(super) fn same_port<'a>(spec: &'a StackSpec, report: &mut Report) {
    let mut taken: BTreeMap<u16, (&'a ServiceSpec, Place)> = BTreeMap::new();
    let own = |service: &'a ServiceSpec| service.ports.iter().map(move |port| (service, port));
    let mut ports: Vec<(&ServiceSpec, &PortSpec)> = spec.services.values().flat_map(own).collect();
    ports.sort_by_key(|(_, port)| port.at);
    for (service, port) in ports {
        let Some(number) = port.prefer else { continue };
        let Some((other, at)) = taken.get(&number) else {
            taken.insert(number, (service, port.at));
            continue;
        };
        let text = if other.name == service.name {
            format!("{} uses port {number} twice", service.name)
        } else {
            format!("{} and {} both use port {number}", other.name, service.name)
        };
        let fault = Fault::at(port.at, text).also(*at, "first used here");
        let one = |service: &ServiceSpec| service.replicas == Replicas::One;
        let help = match one(service) && one(other) {
            true => "change one of them, or use \"auto\"",
            false => "leave room for the following replica ports, or use \"auto\"",
        };
        report.push(fault.help(help));
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    Open,
    Done,
}

/// Reports each cycle once, as a path. Iterative, because a chain can span all services.
fn cycles(spec: &StackSpec, report: &mut Report) {
    let mut marks: BTreeMap<&Name, Mark> = BTreeMap::new();
    let mut told: BTreeSet<Vec<&Name>> = BTreeSet::new();
    for start in spec.services.keys() {
        if marks.contains_key(start) {
            continue;
        }
        let mut path = vec![start];
        let mut ahead = vec![spec.services[start].depends_on.keys()];
        marks.insert(start, Mark::Open);
        while let Some(next) = ahead.last_mut() {
            let Some(name) = next.next() else {
                ahead.pop();
                marks.extend(path.pop().map(|done| (done, Mark::Done)));
                continue;
            };
            // Replicas are searched as one service: they are in a cycle together or not at all.
            let Some(service) = spec.written(name.as_str()) else { continue };
            let name = &service.name;
            match marks.get(name) {
                None => {
                    marks.insert(name, Mark::Open);
                    path.push(name);
                    ahead.push(service.depends_on.keys());
                }
                Some(Mark::Open) => {
                    let first = path.iter().position(|entry| *entry == name).unwrap_or(0);
                    let cycle = from_smallest(&path[first..]);
                    if !report.is_full() && told.insert(cycle.clone()) {
                        report.push(cycle_fault(spec, &cycle));
                    }
                }
                Some(Mark::Done) => {}
            }
        }
    }
}

/// Rotates a cycle so that it starts at its smallest name.
fn from_smallest<'a>(cycle: &[&'a Name]) -> Vec<&'a Name> {
    let smallest = (0..cycle.len()).min_by_key(|&index| cycle[index]).unwrap_or(0);
    let (before, after) = cycle.split_at(smallest);
    after.iter().chain(before).copied().collect()
}

fn cycle_fault(spec: &StackSpec, cycle: &[&Name]) -> Fault {
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
        let is_meant = |name: &Name| spec.written(name.as_str()).is_some_and(|s| s.name == *to);
        let meant = from.depends_on.iter().find(|(name, _)| is_meant(name));
        let at = meant.map_or(from.at, |(_, dependency)| dependency.at);
        (at, format!("{} waits for {to}", from.name))
    };
    let (at, label) = edge(0);
    let mut fault = Fault::at(at, text).label(label);
    for index in 1..cycle.len().min(MAX_MARKS) {
        let (at, label) = edge(index);
        fault = fault.also(at, label);
    }
    fault.help("break the cycle by removing one of these dependencies")
}
