use std::collections::BTreeMap;

use crate::model::{
    AssignedPort, ContainerEngine, Name, PortKey, ProxyPlace, UrlFormat, connectable_host,
    host_inside,
};

use crate::config::spec::{PortSpec, ServiceSpec, StackSpec};
use crate::config::template::{ServiceField, StackField};

/// Where a text is used that refers to services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Viewpoint {
    Machine,
    Container(Option<ContainerEngine>),
}

impl Viewpoint {
    /// Returns where the texts of a service are used.
    pub fn of(service: &ServiceSpec) -> Viewpoint {
        let container = service.container.as_ref();
        container.map_or(Viewpoint::Machine, |container| Viewpoint::Container(container.engine))
    }
}

/// Answers `${db.url}` and `${stack.dir}`. A group has the address of its first replica.
pub(crate) struct AddressBook<'a> {
    name: &'a str,
    dir: String,
    services: BTreeMap<&'a str, ServiceAddress<'a>>,
    /// The engine of the stack.
    engine: Option<ContainerEngine>,
}

#[derive(Clone)]
struct ServiceAddress<'a> {
    host: &'a str,
    url_form: &'a UrlFormat,
    /// The ports that its program opens, by name, main port first.
    ports: Vec<(&'a str, u16)>,
    /// The main port as others reach it, if devstack listens there for a lazy service.
    outer: Option<u16>,
    /// Its name on the network of the stack and its ports there, if it runs in a container.
    inside: Option<InsideAddress<'a>>,
    /// Its address at the proxy, if that serves it.
    origin: Option<String>,
}

#[derive(Clone, Copy)]
struct InsideAddress<'a> {
    name: &'a str,
    ports: &'a BTreeMap<String, u16>,
}

impl<'a> AddressBook<'a> {
    /// Uses these ports; one missing from `ports` gets its preferred number, or 1.
    /// `place`: where its names are.
    pub fn new(
        spec: &'a StackSpec,
        ports: &BTreeMap<PortKey, AssignedPort>,
        place: Option<&ProxyPlace>,
    ) -> AddressBook<'a> {
        AddressBook::with(spec, place, |service, port| {
            let chosen = ports.get(&PortKey::new(service, &port.name));
            chosen.map(|port| port.number).or(port.preferred).unwrap_or(1)
        })
    }

    /// Uses numbers of maximum length while ports are not chosen, so that no text grows later.
    pub fn with_longest_ports(spec: &'a StackSpec) -> AddressBook<'a> {
        let domain = format!("{}-{}", u16::MAX, spec.domain);
        let place = ProxyPlace { domain, port: u16::MAX, has_ca: true };
        AddressBook::with(spec, Some(&place), |_, _| u16::MAX)
    }

    fn with(
        spec: &'a StackSpec,
        place: Option<&ProxyPlace>,
        number: impl Fn(&Name, &PortSpec) -> u16,
    ) -> AddressBook<'a> {
        let https = spec.proxy.as_ref().map(|proxy| proxy.https).unwrap_or_default();
        let services = spec.services.iter().map(|(name, service)| {
            let port = |port: &'a PortSpec| (port.name.as_str(), number(name, port));
            let mut ports: Vec<_> = service.ports.iter().map(port).collect();
            let outer = match (ports.first_mut(), &service.lazy) {
                (Some((_, main)), Some(lazy)) => {
                    Some(std::mem::replace(main, number(name, &lazy.inner)))
                }
                (Some(_) | None, _) => None,
            };
            let origin =
                service.proxy.as_ref().and_then(|proxy| Some(place?.origin(https, &proxy.label)));
            let inside = service.container.as_ref().map(|container| InsideAddress {
                name: name.as_str(),
                ports: &container.inside_ports,
            });
            let (host, url_form) = (service.host.as_str(), &service.url_form);
            (name.as_str(), ServiceAddress { host, url_form, ports, outer, inside, origin })
        });
        let mut services: BTreeMap<&str, ServiceAddress<'_>> = services.collect();
        for (group, names) in &spec.groups {
            let first = names.first().and_then(|name| services.get(name.as_str())).cloned();
            services.extend(first.map(|first| (group.as_str(), first)));
        }
        let dir = spec.dir.to_string_lossy().into_owned();
        AddressBook { name: &spec.name, dir, services, engine: spec.engine }
    }

    /// For texts that must not depend on ports.
    pub fn without_services(spec: &'a StackSpec) -> AddressBook<'a> {
        let dir = spec.dir.to_string_lossy().into_owned();
        AddressBook { name: &spec.name, dir, services: BTreeMap::new(), engine: spec.engine }
    }

    /// Returns what others use to reach a service from there. `None` if there is no such service or
    /// port.
    pub fn service(&self, service: &str, field: &ServiceField, from: Viewpoint) -> Option<String> {
        let address = self.services.get(service)?;
        match (from, field) {
            (Viewpoint::Machine, _) | (_, ServiceField::Origin) => {
                address.field(field, address.host, |port| address.outer_port(port))
            }
            (Viewpoint::Container(engine), _) => match address.inside {
                Some(inside) => address.field(field, inside.name, |port| address.inside_port(port)),
                None => address.field(field, host_inside(engine), |port| address.outer_port(port)),
            },
        }
    }

    /// Returns the same as the service itself must see it: with the ports that its program opens.
    pub fn own(&self, service: &str, field: &ServiceField, from: Viewpoint) -> Option<String> {
        let address = self.services.get(service)?;
        match from {
            Viewpoint::Machine => address.field(field, address.host, |port| address.port(port)),
            Viewpoint::Container(_) => self.service(service, field, from),
        }
    }

    /// Returns the number of a port that the program of the service opens.
    pub fn port(&self, service: &str, port: &str) -> Option<u16> {
        self.services.get(service)?.port(Some(port))
    }

    /// Returns the ports that the program of a service opens, by name, main port first. They are
    /// outside of a container.
    pub fn ports(&self, service: &str) -> &[(&'a str, u16)] {
        self.services.get(service).map_or(&[], |address| &address.ports)
    }

    pub fn stack(&self, field: StackField) -> String {
        match field {
            StackField::Name => self.name.to_owned(),
            StackField::Dir | StackField::ProjectDir => self.dir.clone(),
            StackField::HostInside => host_inside(self.engine).to_owned(),
        }
    }
}

impl ServiceAddress<'_> {
    /// Returns a port that its program opens; `None`: the main one.
    fn port(&self, port: Option<&str>) -> Option<u16> {
        let mut ports = self.ports.iter();
        let found = ports.find(|(name, _)| port.is_none_or(|port| *name == port));
        found.map(|(_, number)| *number)
    }

    /// Returns a port as others reach it; `None`: the main one.
    fn outer_port(&self, port: Option<&str>) -> Option<u16> {
        let main = self.ports.first().map(|(name, _)| *name);
        let outer = self.outer.filter(|_| port.is_none() || port == main);
        outer.or_else(|| self.port(port))
    }

    /// Returns a port as its container has it; `None`: the main one.
    fn inside_port(&self, port: Option<&str>) -> Option<u16> {
        let name = port.or(self.ports.first().map(|(name, _)| *name))?;
        self.inside?.ports.get(name).copied()
    }

    fn field(
        &self,
        field: &ServiceField,
        host: &str,
        number: impl Fn(Option<&str>) -> Option<u16>,
    ) -> Option<String> {
        let url = |port: Option<u16>| Some(self.url_form.format(host, port?));
        match field {
            ServiceField::Host => Some(connectable_host(host).to_owned()),
            ServiceField::Url => url(number(None)),
            ServiceField::Origin => self.origin.clone().or_else(|| url(self.outer_port(None))),
            ServiceField::Port(name) => Some(number(name.as_deref())?.to_string()),
        }
    }
}
