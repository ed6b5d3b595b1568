//! Reports services that wait for each other.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::diagnostics::{DiagnosticBuilder, LoadReport};
use crate::config::spec::StackSpec;
use crate::model::Name;

/// How many places of a cycle a diagnostic shows.
const MAX_MARKS: usize = 8;

#[derive(Clone, Copy, PartialEq, Eq)]
enum VisitState {
    Open,
    Done,
}

/// Reports each cycle once, as a path. Iterative, because a chain can span all services.
pub(super) fn check_cycles(spec: &StackSpec, report: &mut LoadReport) {
    let mut marks: BTreeMap<&Name, VisitState> = BTreeMap::new();
    let mut reported: BTreeSet<Vec<&Name>> = BTreeSet::new();
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
                    if !report.is_full() && reported.insert(cycle.clone()) {
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
