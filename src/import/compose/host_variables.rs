//! Variables that hold the host or the port of another service.

use std::collections::BTreeMap;

use super::service_hosts::{ServiceHost, ServiceHosts, not_in_stack, port_reference};
use crate::import::environment::EnvEntry;
use crate::import::yaml::YamlNode;

/// Names of variables that hold the host of a service.
const HOST_SUFFIXES: [&str; 5] = ["HOST", "HOSTNAME", "SERVER", "ADDRESS", "ADDR"];

/// Puts references to other services in the place of their addresses. `own` is the service itself,
/// `inside` whether it is a container.
pub(super) fn rewritten_env(
    env: Vec<EnvEntry<'_>>,
    own: &str,
    hosts: &ServiceHosts,
    inside: bool,
) -> Vec<(String, String)> {
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
                .unwrap_or_else(|| hosts.rewrite(&value, node, inside)),
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
