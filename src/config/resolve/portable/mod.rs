//! From a checked configuration to a [`PortableStack`]: references to services are resolved, the
//! values of env files and of the environment are not.

mod addresses;
mod builder;
mod texts;

use std::collections::{BTreeMap, BTreeSet};

use crate::config::env::EnvFileSet;
use crate::config::spec::{ReplicaSpec, ServiceSpec, StackSpec};
use crate::model::{Name, PortRequest, PortableNetwork, PortableStack, UniqueNames};

use addresses::PortableAddresses;
use builder::PortableBuilder;

/// Builds the stack for other programs. `requests` are those of run mode.
pub(in crate::config) fn portable_stack(
    spec: &StackSpec,
    file_name: String,
    files: &EnvFileSet,
    requests: &[PortRequest],
    network: PortableNetwork,
) -> PortableStack {
    let services = exported(spec, network);
    let addresses = PortableAddresses::new(spec, &services, requests, network);
    let builder = PortableBuilder { spec, files, addresses: &addresses, network };
    // Only programs are processes of the machine.
    let is_left_out =
        |service: &ServiceSpec| network == PortableNetwork::Loopback && service.container.is_some();
    let (left_out, kept): (Vec<_>, Vec<_>) =
        services.iter().partition(|(_, service)| is_left_out(service));
    let left_out: Vec<Name> = left_out.into_iter().map(|(name, _)| name.clone()).collect();
    let build = |(name, service): (&_, &&_)| {
        let mut built = builder.build(name, service);
        built.depends_on.retain(|name, _| !left_out.contains(name));
        (name.clone(), built)
    };
    PortableStack {
        name: spec.name.clone(),
        dir: spec.dir.clone(),
        file_name,
        network,
        services: kept.into_iter().map(build).collect(),
        left_out: left_out.clone(),
        live_reload: spec.live,
        logs: spec.logs,
    }
}

/// Returns the services by the names that they are exported with. Where services have names on the
/// network, the first replica stands for all.
fn exported(spec: &StackSpec, network: PortableNetwork) -> BTreeMap<Name, &ServiceSpec> {
    let name = |service: &ServiceSpec| match (&service.replicas, network) {
        (ReplicaSpec::Member { group, number: 1, .. }, PortableNetwork::Names) => {
            Some(group.clone())
        }
        (ReplicaSpec::Member { .. }, PortableNetwork::Names) => None,
        _ => Some(service.name.clone()),
    };
    spec.services.values().filter_map(|service| Some((name(service)?, service))).collect()
}

/// Returns the host name of each service: its name as a DNS label that starts with a letter, which every
/// cluster accepts. Names that are one already stay as they are.
fn host_names<'a>(names: impl Iterator<Item = &'a Name> + Clone) -> BTreeMap<&'a Name, Name> {
    let mut taken = UniqueNames::default();
    let label = |name: &Name| {
        let plain = name.as_str().trim_end_matches('-');
        match plain.starts_with(|c: char| c.is_ascii_digit()) {
            true => format!("s-{plain}"),
            false => plain.to_owned(),
        }
    };
    let stay = names.clone().filter(|name| label(name) == name.as_str());
    let mut hosts: BTreeMap<&Name, Name> = stay.map(|name| (name, name.clone())).collect();
    hosts.values().for_each(|name| _ = taken.reserve(name.clone()));
    for name in names {
        hosts.entry(name).or_insert_with(|| taken.take(&label(name), name));
    }
    hosts
}

/// Returns the first number from `from` on that is not used, and uses it.
fn take_number(from: u16, used: &mut BTreeSet<u16>) -> u16 {
    let free = (from..=u16::MAX).chain(1024..from).find(|number| !used.contains(number));
    let number = free.unwrap_or(from);
    used.insert(number);
    number
}

#[cfg(test)]
mod tests;
