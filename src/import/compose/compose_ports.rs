//! The ports of a service: `ports` and `expose`.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use crate::import::ImportedService;
use crate::import::substitution::with_defaults;
use crate::import::yaml::YamlNode;
use crate::model::Name;
use crate::text::quote;

/// The most ports of a service that are carried over: a range may have thousands.
pub(super) const MAX_PORTS: usize = 32;

/// Ports below need privileges.
const FIRST_FREE: u16 = 1024;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ContainerPort {
    /// Where the program listens in its container.
    pub target: u16,
    /// Where it is reached from outside, if the file says so.
    pub published: Option<u16>,
    /// What the file calls it.
    pub name: Option<String>,
}

impl ContainerPort {
    /// The port to prefer: where people reach it now, if that needs no privileges.
    pub fn preferred(&self) -> u16 {
        match self.published.unwrap_or(self.target) {
            port if port >= FIRST_FREE => port,
            _ if self.target >= FIRST_FREE => self.target,
            port => port + 8000,
        }
    }
}

/// Gives a service these ports: the first is the main one and has no name, the others get one each.
pub(super) fn name_ports(ports: &mut [ContainerPort], service: &mut ImportedService) {
    let Some((main, more)) = ports.split_first_mut() else { return };
    main.name = None;
    service.port = Some(main.preferred());
    let mut taken = BTreeSet::from(["main".to_owned()]);
    for port in more {
        let name = port.name.take().filter(|name| !taken.contains(name));
        let name = name.unwrap_or_else(|| format!("p{}", port.target));
        taken.insert(name.clone());
        service.more_ports.push((name.clone(), port.preferred()));
        port.name = Some(name);
    }
}

/// Reads the ports of a service, each once, in the order of the file.
pub(super) fn read_ports(service: &YamlNode) -> Vec<ContainerPort> {
    let mut ports: Vec<ContainerPort> = Vec::new();
    let mut targets = BTreeSet::new();
    let published = service.get("ports").into_iter().flat_map(|node| node.items());
    let exposed = service.get("expose").into_iter().flat_map(|node| node.items());
    let read = published.map(|node| (node, true)).chain(exposed.map(|node| (node, false)));
    for (node, is_published) in read {
        let found = match node.is_map() {
            true => read_long(node),
            false => read_short(node, is_published),
        };
        for port in found {
            if ports.len() == MAX_PORTS {
                node.note(format!("not carried over: more than {MAX_PORTS} ports"));
                return ports;
            }
            if !targets.insert(port.target) {
                if is_published {
                    node.note(format!(
                        "not carried over: container port {} is published already",
                        port.target
                    ));
                }
                continue;
            }
            if port.published.is_some_and(|port| port < FIRST_FREE) {
                node.note(format!(
                    "now prefers {}: a lower port requires privileges",
                    port.preferred()
                ));
            }
            ports.push(port);
        }
    }
    ports
}

/// Reads `[[IP:]HOST:]CONTAINER[/PROTOCOL]`, where both ports may be ranges.
fn read_short(node: &YamlNode, is_published: bool) -> Vec<ContainerPort> {
    let Some(text) = node.text() else { return Vec::new() };
    let text = with_defaults(text, node);
    let (address, protocol) = text.split_once('/').unwrap_or((&text, "tcp"));
    if !is_tcp(protocol, node) {
        return Vec::new();
    }
    let (address, target) = address.rsplit_once(':').unwrap_or(("", address));
    let (ip, published) = match address.rsplit_once(':') {
        Some((ip, published)) => (ip.trim_matches(['[', ']']), published),
        None => ("", address),
    };
    note_ip(ip, node);
    let published = published.trim();
    let (Some(targets), Some(published)) = (range(target), published_range(published)) else {
        node.reject(format!("not carried over: invalid port {}", quote(&text)));
        return Vec::new();
    };
    pairs(targets, published.filter(|_| is_published), None)
}

fn read_long(node: &YamlNode) -> Vec<ContainerPort> {
    let text = |key: &str| {
        let value = node.get(key)?;
        Some(with_defaults(value.text()?, value))
    };
    if text("protocol").is_some_and(|protocol| !is_tcp(&protocol, node)) {
        return Vec::new();
    }
    note_ip(&text("host_ip").unwrap_or_default(), node);
    let targets = text("target").as_deref().and_then(range);
    let published = published_range(&text("published").unwrap_or_default());
    let (Some(targets), Some(published)) = (targets, published) else {
        node.reject("not carried over: missing or invalid `target`");
        return Vec::new();
    };
    let name = text("name").and_then(|name| Name::nearest(&name)).map(|name| name.to_string());
    pairs(targets, published, name)
}

fn is_tcp(protocol: &str, node: &YamlNode) -> bool {
    let is_tcp = protocol.eq_ignore_ascii_case("tcp");
    if !is_tcp {
        node.reject(format!(
            "not carried over: devstack assigns TCP ports, not {}",
            quote(protocol)
        ));
    }
    is_tcp
}

fn note_ip(ip: &str, node: &YamlNode) {
    if !matches!(ip, "" | "127.0.0.1" | "localhost") {
        node.note(format!("set `host = \"{ip}\"` if it must be reached from elsewhere"));
    }
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (0 < first && first <= last).then_some(first..=last)
}

/// The outer `None` stands for a text that is not a port, the inner one for no text.
#[expect(clippy::option_option, reason = "a missing port is not a wrong one")]
fn published_range(text: &str) -> Option<Option<RangeInclusive<u16>>> {
    match text {
        "" => Some(None),
        _ => range(text).map(Some),
    }
}

/// Pairs the ports of two ranges. A range for one port lets Compose choose: its first is preferred.
fn pairs(
    targets: RangeInclusive<u16>,
    published: Option<RangeInclusive<u16>>,
    name: Option<String>,
) -> Vec<ContainerPort> {
    let mut published = published.into_iter().flatten();
    let port = |target| ContainerPort { target, published: published.next(), name: name.clone() };
    targets.map(port).take(MAX_PORTS + 1).collect()
}
