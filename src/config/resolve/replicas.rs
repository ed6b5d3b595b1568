//! Expands services with `replicas`.

use std::collections::BTreeMap;

use crate::model::Name;

use crate::config::diagnostics::LoadReport;
use crate::config::spec::{DependencySpec, ReplicaSpec, ServiceSpec, StackSpec};

/// Maximum number of dependencies in total: as many as a file of maximum size can hold without
/// groups.
const MAX_LINKS: usize = 256 * 1024;

type ReplicaGroups = BTreeMap<Name, Vec<Name>>;

/// Creates the replicas of all services that have some. Settings common to all replicas are checked
/// before that, so that each error is reported once.
pub(super) fn expand(spec: &mut StackSpec, report: &mut LoadReport) {
    let groups: ReplicaGroups = spec.services.values().filter_map(group).collect();
    if groups.is_empty() {
        return;
    }
    if count_dependencies(spec, &groups) > MAX_LINKS {
        let text = "replicas have too many dependencies on each other";
        let help = format!("reduce them: the limit for all services is {MAX_LINKS}");
        return report.error_at(None, text, help);
    }
    for (_, mut service) in std::mem::take(&mut spec.services) {
        service.depends_on = expand_dependencies(service.depends_on, &groups);
        let Some(names) = groups.get(&service.name) else {
            spec.services.insert(service.name.clone(), service);
            continue;
        };
        check_port_range(&service, names.len(), report);
        let members = (1..).zip(names).map(|(number, name)| member(&service, name, number));
        spec.services.extend(members.map(|member| (member.name.clone(), member)));
    }
    if let Some(names) = spec.primary.as_ref().and_then(|name| groups.get(name)) {
        spec.primary = names.first().cloned();
    }
    spec.groups = groups;
}

fn group(service: &ServiceSpec) -> Option<(Name, Vec<Name>)> {
    let ReplicaSpec::Many(of) = service.replicas else { return None };
    let name = |number| Name::new(&format!("{}-{number}", service.name)).ok();
    Some((service.name.clone(), (1..=of).filter_map(name).collect()))
}

fn count_dependencies(spec: &StackSpec, groups: &ReplicaGroups) -> usize {
    let many = |name: &Name| groups.get(name).map_or(1, Vec::len);
    let of = |service: &ServiceSpec| {
        many(&service.name) * service.depends_on.keys().map(many).sum::<usize>()
    };
    spec.services.values().map(of).sum()
}

/// Expands groups; a dependency on a single replica takes precedence over one on its group.
fn expand_dependencies(
    written: BTreeMap<Name, DependencySpec>,
    groups: &ReplicaGroups,
) -> BTreeMap<Name, DependencySpec> {
    let mut all = BTreeMap::new();
    for (name, dependency) in &written {
        let names = groups.get(name).into_iter().flatten();
        all.extend(names.map(|name| (name.clone(), dependency.clone())));
    }
    all.extend(written.into_iter().filter(|(name, _)| !groups.contains_key(name)));
    all
}

/// Reports ports whose range is too small for all replicas.
fn check_port_range(service: &ServiceSpec, of: usize, report: &mut LoadReport) {
    for port in service.ports.iter().chain(service.debug.iter().map(|debug| &debug.port)) {
        let Some(first) = port.preferred else { continue };
        if usize::from(first) + of - 1 > usize::from(u16::MAX) {
            let text = format!("{of} replicas starting at port {first} exceed 65535");
            report.error_at(port.at, text, "use a smaller number, or \"auto\"");
        }
    }
}

fn member(written: &ServiceSpec, name: &Name, number: u16) -> ServiceSpec {
    let ReplicaSpec::Many(of) = written.replicas else { return written.clone() };
    let mut member = written.clone();
    member.name = name.clone();
    member.replicas = ReplicaSpec::Member { group: written.name.clone(), number, of };
    for port in member.ports.iter_mut().chain(member.debug.iter_mut().map(|debug| &mut debug.port))
    {
        // A range that is too small was reported.
        port.preferred = port.preferred.and_then(|first| first.checked_add(number - 1));
    }
    member
}
