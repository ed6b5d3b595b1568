//! Reports services that wait for each other.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::check::host_system::HostSystem;
use crate::config::diagnostics::{DiagnosticBuilder, LoadReport};
use crate::config::spec::{DependencySpec, ServiceSpec, StackSpec};
use crate::model::Name;

/// How many places of a cycle a diagnostic shows.
const MAX_MARKS: usize = 8;

#[derive(Clone, Copy, PartialEq, Eq)]
enum VisitState {
    Open,
    Done,
}

/// Reports each cycle once, as a path; one of another system only if this one does not have it.
pub(super) fn check_cycles(spec: &StackSpec, report: &mut LoadReport) {
    let elsewhere = HostSystem::ALL.into_iter().filter(|system| {
        let mut services = spec.services.values();
        services.any(|service| service.depends_elsewhere.contains_key(system))
    });
    let mut reported: BTreeSet<Vec<&Name>> = BTreeSet::new();
    for system in std::iter::once(HostSystem::THIS).chain(elsewhere) {
        DependencyGraph { spec, system }.check(&mut reported, report);
    }
}

/// What services wait for on one system.
#[derive(Clone, Copy)]
struct DependencyGraph<'a> {
    spec: &'a StackSpec,
    system: HostSystem,
}

impl<'a> DependencyGraph<'a> {
    fn needs(self, service: &'a ServiceSpec) -> &'a BTreeMap<Name, DependencySpec> {
        service.depends_elsewhere.get(&self.system).unwrap_or(&service.depends_on)
    }

    /// Iterative, because a chain can span all services.
    fn check(self, reported: &mut BTreeSet<Vec<&'a Name>>, report: &mut LoadReport) {
        let spec = self.spec;
        let mut marks: BTreeMap<&Name, VisitState> = BTreeMap::new();
        for (start, service) in &spec.services {
            if marks.contains_key(start) {
                continue;
            }
            let mut path = vec![start];
            let mut ahead = vec![self.needs(service).keys()];
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
                        ahead.push(self.needs(service).keys());
                    }
                    Some(VisitState::Open) => {
                        let first = path.iter().position(|entry| *entry == name).unwrap_or(0);
                        let cycle = rotate_to_smallest(&path[first..]);
                        if !report.is_full() && reported.insert(cycle.clone()) {
                            report.error(self.fault(&cycle));
                        }
                    }
                    Some(VisitState::Done) => {}
                }
            }
        }
    }

    fn fault(self, cycle: &[&Name]) -> DiagnosticBuilder {
        let spec = self.spec;
        let names: Vec<&str> =
            cycle.iter().chain(cycle.first()).map(|name| name.as_str()).collect();
        let shown = if names.len() > 2 * MAX_MARKS {
            let (head, tail) = (&names[..MAX_MARKS], &names[names.len() - MAX_MARKS..]);
            format!("{} → … → {}", head.join(" → "), tail.join(" → "))
        } else {
            names.join(" → ")
        };
        let place = match self.system {
            HostSystem::THIS => String::new(),
            system => format!(" on {}", system.name()),
        };
        let text = format!("dependency cycle{place}: {shown}");
        let edge = |index: usize| {
            let (from, to) = (&spec.services[cycle[index]], cycle[(index + 1) % cycle.len()]);
            let is_meant =
                |name: &Name| spec.find_written(name.as_str()).is_some_and(|s| s.name == *to);
            let meant = self.needs(from).iter().find(|(name, _)| is_meant(name));
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
}

/// Rotates a cycle so that it starts at its smallest name.
fn rotate_to_smallest<'a>(cycle: &[&'a Name]) -> Vec<&'a Name> {
    let smallest = (0..cycle.len()).min_by_key(|&index| cycle[index]).unwrap_or(0);
    let (before, after) = cycle.split_at(smallest);
    after.iter().chain(before).copied().collect()
}
