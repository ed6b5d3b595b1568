use std::collections::BTreeMap;

use crate::model::{AssignedPort, Name, PortKey, UrlFormat, connectable_host};

use crate::config::spec::{PortSpec, StackSpec};
use crate::config::template::{ServiceField, StackField};

/// Answers `${db.url}` and `${stack.dir}`. A group has the address of its first replica.
pub(crate) struct AddressBook<'a> {
    name: &'a str,
    dir: String,
    services: BTreeMap<&'a str, ServiceAddress<'a>>,
}

#[derive(Clone)]
struct ServiceAddress<'a> {
    host: &'a str,
    url_form: &'a UrlFormat,
    /// By name, main port first.
    ports: Vec<(&'a str, u16)>,
}

impl<'a> AddressBook<'a> {
    /// Uses these ports; one missing from `ports` gets its preferred number, or 1.
    pub fn new(spec: &'a StackSpec, ports: &BTreeMap<PortKey, AssignedPort>) -> AddressBook<'a> {
        AddressBook::with(spec, |service, port| {
            let chosen = ports.get(&PortKey::new(service, &port.name));
            chosen.map(|port| port.number).or(port.preferred).unwrap_or(1)
        })
    }

    /// Uses numbers of maximum length while ports are not chosen, so that no text grows later.
    pub fn with_longest_ports(spec: &'a StackSpec) -> AddressBook<'a> {
        AddressBook::with(spec, |_, _| u16::MAX)
    }

    fn with(spec: &'a StackSpec, number: impl Fn(&Name, &PortSpec) -> u16) -> AddressBook<'a> {
        let services = spec.services.iter().map(|(name, service)| {
            let port = |port: &'a PortSpec| (port.name.as_str(), number(name, port));
            let ports = service.ports.iter().map(port).collect();
            (
                name.as_str(),
                ServiceAddress { host: &service.host, url_form: &service.url_form, ports },
            )
        });
        let mut services: BTreeMap<&str, ServiceAddress<'_>> = services.collect();
        for (group, names) in &spec.groups {
            let first = names.first().and_then(|name| services.get(name.as_str())).cloned();
            services.extend(first.map(|first| (group.as_str(), first)));
        }
        let dir = spec.dir.to_string_lossy().into_owned();
        AddressBook { name: &spec.name, dir, services }
    }

    /// For texts that must not depend on ports.
    pub fn without_services(spec: &'a StackSpec) -> AddressBook<'a> {
        let dir = spec.dir.to_string_lossy().into_owned();
        AddressBook { name: &spec.name, dir, services: BTreeMap::new() }
    }

    /// Returns `None` if there is no such service or port.
    pub fn service(&self, service: &str, field: &ServiceField) -> Option<String> {
        let address = self.services.get(service)?;
        match field {
            ServiceField::Host => Some(connectable_host(address.host).to_owned()),
            ServiceField::Url => Some(address.url_form.format(address.host, address.main()?)),
            ServiceField::Port(None) => Some(address.main()?.to_string()),
            ServiceField::Port(Some(name)) => Some(self.port(service, name)?.to_string()),
        }
    }

    pub fn port(&self, service: &str, port: &str) -> Option<u16> {
        let ports = &self.services.get(service)?.ports;
        ports.iter().find(|(name, _)| *name == port).map(|(_, number)| *number)
    }

    /// Returns the ports of a service by name, main port first.
    pub fn ports(&self, service: &str) -> &[(&'a str, u16)] {
        self.services.get(service).map_or(&[], |address| &address.ports)
    }

    pub fn stack(&self, field: StackField) -> String {
        match field {
            StackField::Name => self.name.to_owned(),
            StackField::Dir | StackField::ProjectDir => self.dir.clone(),
        }
    }
}

impl ServiceAddress<'_> {
    fn main(&self) -> Option<u16> {
        self.ports.first().map(|(_, number)| *number)
    }
}
