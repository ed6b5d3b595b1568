use std::collections::{BTreeMap, BTreeSet};

use crate::config::spec::{ReplicaSpec, ServiceSpec, StackSpec};
use crate::config::template::Template;
use crate::model::{
    Name, PortKey, PortRequest, PortableNetwork, PortablePort, connectable_host, host_port,
};
use crate::presets::{Preset, PresetImage};

use super::{host_names, take_number};

/// The first number for a port that may have any.
const FIRST_FREE: u16 = 8000;

/// Where the exported services are reached.
pub(super) struct PortableAddresses<'a> {
    services: BTreeMap<&'a str, ServicePlace<'a>>,
    /// For replicas that are exported as one: their own names, with that of all.
    members: BTreeMap<&'a str, &'a Name>,
    /// For replicas that are exported one by one: the name of all, with that of the first.
    groups: BTreeMap<&'a str, &'a Name>,
}

/// Where one of them is reached.
pub(super) struct ServicePlace<'a> {
    pub service: &'a ServiceSpec,
    pub host_name: Name,
    pub host: String,
    pub ports: Vec<PortablePort>,
}

impl<'a> PortableAddresses<'a> {
    pub fn new(
        spec: &'a StackSpec,
        exported: &'a BTreeMap<Name, &'a ServiceSpec>,
        requests: &[PortRequest],
        network: PortableNetwork,
    ) -> PortableAddresses<'a> {
        let wanted: BTreeMap<&PortKey, u16> = requests
            .iter()
            .filter_map(|request| Some((&request.key, request.wanted.number()?)))
            .collect();
        // On one machine all share the numbers. Those that are wanted are not given to others.
        let mut machine: BTreeSet<u16> = wanted.values().copied().collect();
        let mut given = BTreeSet::new();
        let host_names = host_names(exported.keys());
        let place = |(name, service): (&'a Name, &&'a ServiceSpec)| {
            let image = image_of(service);
            let mut own = BTreeSet::new();
            let ports = service.ports.iter().filter_map(|port| {
                let key = PortKey::new(&service.name, &port.name);
                let wanted = wanted.get(&key).copied().or(port.preferred);
                let inside = service.container.as_ref();
                let inside = inside.and_then(|container| container.inside_ports.get(&port.name));
                let number = match (network, image) {
                    (PortableNetwork::Names, _) if inside.is_some() => *inside?,
                    (PortableNetwork::Names, Some((preset, _))) => {
                        usual_port(preset, &port.name).or(wanted)?
                    }
                    (PortableNetwork::Names, None) => {
                        wanted.unwrap_or_else(|| take_number(FIRST_FREE, &mut own))
                    }
                    (PortableNetwork::Loopback, _) => match wanted {
                        Some(number) if given.insert(number) => number,
                        _ => take_number(wanted.unwrap_or(FIRST_FREE), &mut machine),
                    },
                };
                Some(PortablePort {
                    name: port.name.clone(),
                    number,
                    wanted,
                    on_conflict: port.on_conflict,
                    variable: port.env.clone(),
                    activated: port.socket_activation,
                })
            });
            let ports = ports.collect();
            let host_name = host_names[name].clone();
            let host = match network {
                PortableNetwork::Names => host_name.to_string(),
                PortableNetwork::Loopback => connectable_host(&service.host).to_owned(),
            };
            (name.as_str(), ServicePlace { service, host_name, host, ports })
        };
        let services: BTreeMap<&str, ServicePlace<'_>> = exported.iter().map(place).collect();
        let members = spec.services.values().filter_map(|service| match &service.replicas {
            ReplicaSpec::Member { group, .. } if !services.contains_key(service.name.as_str()) => {
                Some((service.name.as_str(), group))
            }
            _ => None,
        });
        let members = members.collect();
        let groups = spec.groups.iter().filter(|(name, _)| !services.contains_key(name.as_str()));
        let groups = groups.filter_map(|(name, all)| Some((name.as_str(), all.first()?))).collect();
        PortableAddresses { services, members, groups }
    }

    /// Returns the exported service that this name means.
    pub fn find(&self, name: &str) -> Option<&ServicePlace<'a>> {
        let other = || self.members.get(name).or_else(|| self.groups.get(name));
        self.services.get(name).or_else(|| self.services.get(other()?.as_str()))
    }

    /// Returns the name that this service is exported with.
    pub fn exported_name<'n>(&self, name: &'n Name) -> &'n Name
    where
        'a: 'n,
    {
        self.members.get(name.as_str()).copied().unwrap_or(name)
    }
}

impl ServicePlace<'_> {
    /// Returns a port by its name, or the main port.
    pub fn port(&self, name: Option<&str>) -> Option<u16> {
        let mut ports = self.ports.iter();
        let port = match name {
            None => ports.next(),
            Some(name) => ports.find(|port| port.name == name),
        };
        port.map(|port| port.number)
    }

    /// Returns `HOST:PORT` of the main port.
    pub fn address(&self) -> Option<String> {
        Some(host_port(&self.host, self.port(None)?))
    }

    /// Returns what surrounds the address in the URL of its preset.
    pub fn url_templates(&self) -> Option<&[Template; 2]> {
        self.service.url_templates.as_ref()
    }
}

/// Returns the image that runs a service, if it runs the server of its preset.
pub(super) fn image_of(service: &ServiceSpec) -> Option<(&'static Preset, &'static PresetImage)> {
    let preset = service.preset.filter(|_| service.needs.is_some())?;
    Some((preset, preset.facts().image.as_ref()?))
}

fn usual_port(preset: &Preset, name: &str) -> Option<u16> {
    preset.outline().ports().find(|(port, _)| *port == name).map(|(_, number)| number)
}
