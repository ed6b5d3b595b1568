use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::{Engine, Selection};
use crate::model::{Cause, Name, Service, Stack};

impl Engine {
    pub(super) fn update_order(&mut self) {
        let all = self.services.iter().map(|(name, state)| (name, &*state.service));
        self.order = topological_order(all.collect()).into_iter().cloned().collect();
    }
}

/// Returns the names of `services`, dependencies before dependents.
pub(super) fn start_order(services: &BTreeMap<Name, Arc<Service>>) -> Vec<&Name> {
    topological_order(services.iter().map(|(name, service)| (name, &**service)).collect())
}

/// Checked stacks have no cycle; services in one would be left out and never start.
fn topological_order<'a>(services: BTreeMap<&'a Name, &'a Service>) -> Vec<&'a Name> {
    let mut open: BTreeMap<&Name, usize> = BTreeMap::new();
    let mut dependents: BTreeMap<&Name, Vec<&Name>> = BTreeMap::new();
    for (name, service) in &services {
        let needs = service.depends_on.keys().filter(|need| services.contains_key(need));
        open.insert(name, needs.clone().count());
        for need in needs {
            dependents.entry(need).or_default().push(name);
        }
    }
    let mut free: VecDeque<&Name> =
        open.iter().filter(|(_, count)| **count == 0).map(|(name, _)| *name).collect();
    let mut order = Vec::with_capacity(services.len());
    while let Some(name) = free.pop_front() {
        order.push(name);
        for dependent in dependents.get(name).into_iter().flatten() {
            let count = open.get_mut(dependent).expect("every dependent was counted");
            *count -= 1;
            if *count == 0 {
                free.push_back(dependent);
            }
        }
    }
    order
}

/// Returns the services of `stack` that a selection wants, and why.
pub(super) fn selected(stack: &Stack, selection: Option<&Selection>) -> BTreeMap<Name, Cause> {
    match selection {
        None => {
            let auto = stack.services.iter().filter(|(_, service)| service.autostart);
            with_dependencies(stack, auto.map(|(name, _)| name.clone()), Cause::Up)
        }
        Some(Selection { names, with_dependencies: true }) => with_dependencies(
            stack,
            names.iter().flat_map(|name| stack.services_named(name)),
            Cause::Up,
        ),
        Some(Selection { names, with_dependencies: false }) => names
            .iter()
            .flat_map(|name| stack.services_named(name))
            .map(|name| (name, Cause::Up))
            .collect(),
    }
}

/// Returns `names` and everything they depend on.
pub(super) fn with_dependencies(
    stack: &Stack,
    names: impl IntoIterator<Item = Name>,
    cause: Cause,
) -> BTreeMap<Name, Cause> {
    // A service that is both a root and a dependency keeps `cause`.
    let mut found: BTreeMap<Name, Cause> =
        names.into_iter().map(|name| (name, cause.clone())).collect();
    let mut open: Vec<Name> = found.keys().cloned().collect();
    while let Some(name) = open.pop() {
        let Some(service) = stack.services.get(&name) else { continue };
        for need in service.depends_on.keys() {
            if !found.contains_key(need) {
                found.insert(need.clone(), Cause::NeededBy(name.clone()));
                open.push(need.clone());
            }
        }
    }
    found
}
