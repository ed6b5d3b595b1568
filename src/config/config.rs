use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::model::{
    AssignedPort, DirMove, HttpsUse, Message, Name, PortKey, PortRequest, PortableNetwork,
    PortableStack, ProxyPlace, Stack, StackProxy,
};

use super::diagnostics::SourceFile;
use super::env::{EnvFileSet, ExplainedEnv, explain};
use super::resolve::{
    AddressBook, PortRequests, ServiceBuilder, portable_stack, written_port_requests,
};
use super::sources::relocate_pwd;
use super::spec::{ProxySpec, StackSpec};

/// The services to start in debug mode, if they have a `debug` entry.
pub type DebugServices = BTreeSet<Name>;

/// A checked configuration whose ports are not chosen yet.
#[derive(Debug, Clone)]
pub struct Config {
    pub(super) spec: StackSpec,
    pub(super) env_files: EnvFileSet,
    pub(super) outer: BTreeMap<String, String>,
    pub(super) port_requests: PortRequests,
    pub(super) notes: Vec<Message>,
    pub(super) files: BTreeSet<PathBuf>,
    pub(super) sources: Vec<Arc<SourceFile>>,
}

impl Config {
    /// Returns the name of the stack.
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Returns the directory of the first file, absolute.
    pub fn dir(&self) -> &Path {
        &self.spec.dir
    }

    /// Returns the names of all services, in order.
    pub fn services(&self) -> impl Iterator<Item = &Name> {
        self.spec.services.keys()
    }

    /// Returns the names of all groups of replicas.
    pub fn groups(&self) -> impl Iterator<Item = &Name> {
        self.spec.groups.keys()
    }

    /// Returns the service with this name, or all replicas of a group. Empty if it is unknown.
    pub fn services_named(&self, name: &Name) -> Vec<Name> {
        self.spec.services_named(name)
    }

    /// Returns the services that `up` starts by default.
    pub fn autostart(&self) -> impl Iterator<Item = &Name> {
        let auto = self.spec.services.iter().filter(|(_, service)| service.autostart);
        auto.map(|(name, _)| name)
    }

    /// Returns these services and all their dependencies, direct and indirect.
    pub fn with_dependencies(&self, names: BTreeSet<Name>) -> BTreeSet<Name> {
        let mut open: Vec<Name> = names.iter().cloned().collect();
        let mut found = names;
        while let Some(service) = open.pop().and_then(|name| self.spec.services.get(&name)) {
            for need in service.depends_on.keys().flat_map(|need| self.services_named(need)) {
                if found.insert(need.clone()) {
                    open.push(need);
                }
            }
        }
        found
    }

    /// Returns the address that each service is told to bind.
    pub fn hosts(&self) -> impl Iterator<Item = (&Name, &str)> {
        self.spec.services.iter().map(|(name, service)| (name, service.host.as_str()))
    }

    /// Returns the port requests in run mode, ordered by service name, main ports first.
    pub fn port_requests(&self) -> &[PortRequest] {
        &self.port_requests.always
    }

    /// Returns the port requests in run mode, then those of the debuggers of `debugged`.
    pub fn port_requests_with(&self, debugged: &DebugServices) -> Vec<PortRequest> {
        let debug = self.port_requests.debug.iter();
        let debug = debug.filter(|request| debugged.contains(&request.key.service));
        self.port_requests.always.iter().chain(debug).cloned().collect()
    }

    /// Returns the services with a `debug` entry, in order.
    pub fn debuggable(&self) -> impl Iterator<Item = &Name> {
        let services = self.spec.services.iter();
        services.filter(|(_, service)| service.debug.is_some()).map(|(name, _)| name)
    }

    pub fn preset_of(&self, service: &Name) -> Option<&'static str> {
        Some(self.spec.services.get(service)?.preset?.name)
    }

    /// Whether edits of the configuration are applied while the stack runs.
    pub fn live_reload(&self) -> bool {
        self.spec.live
    }

    /// Returns every file that was read or looked for.
    pub fn files(&self) -> &BTreeSet<PathBuf> {
        &self.files
    }

    /// Returns notes: worth knowing, but not errors.
    pub fn notes(&self) -> &[Message] {
        &self.notes
    }

    /// Builds the stack with the chosen ports. A port missing from `ports` gets its preferred
    /// number, for tests only: real choices cover every request.
    pub fn resolve(&self, ports: &BTreeMap<PortKey, AssignedPort>) -> Stack {
        self.resolve_with(ports, &DebugServices::new(), None)
    }

    /// Builds the stack with these services in debug mode, if they have a `debug` entry, and with
    /// its names in this place.
    pub fn resolve_with(
        &self,
        ports: &BTreeMap<PortKey, AssignedPort>,
        debugged: &DebugServices,
        place: Option<&ProxyPlace>,
    ) -> Stack {
        let book = AddressBook::new(&self.spec, ports, place);
        let builder = self.builder(&book, ports);
        let services = self.spec.services.iter().map(|(name, spec)| {
            // Loading built every service once, so no text can fail now.
            let debugged = debugged.contains(name);
            (name.clone(), Arc::new(builder.build(spec, debugged).service))
        });
        Stack {
            name: self.spec.name.clone(),
            dir: self.spec.dir.clone(),
            services: services.collect(),
            primary: self.spec.primary.clone(),
            groups: self.spec.groups.clone(),
            files: self.files.clone(),
            live_reload: self.spec.live,
            logs: self.spec.logs,
            proxy: place.and_then(|place| self.proxy_at(place)),
        }
    }

    fn proxy_at(&self, place: &ProxyPlace) -> Option<StackProxy> {
        let ProxySpec { https, wait, parked, requests, bodies, front } = self.spec.proxy.clone()?;
        let ProxyPlace { domain, port, has_ca } = place.clone();
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        Some(StackProxy { domain, port, has_ca, https, wait_ms, parked, requests, bodies, front })
    }

    /// Returns what the names of its services end in, unless another stack has the same:
    /// `shop.localhost`, in a linked git worktree `feature.shop.localhost`.
    pub fn domain(&self) -> &str {
        &self.spec.domain
    }

    /// Whether the names of its services are to be used with `https`.
    pub fn wants_https(&self) -> bool {
        let https = self.spec.proxy.as_ref().map_or(HttpsUse::Offered, |proxy| proxy.https);
        https != HttpsUse::Offered && self.has_names()
    }

    /// Whether any service has a name at the proxy.
    pub fn has_names(&self) -> bool {
        self.spec.services.values().any(|service| service.proxy.is_some())
    }

    /// Whether any service runs in a container.
    pub fn has_containers(&self) -> bool {
        self.spec.services.values().any(|service| service.container.is_some())
    }

    /// Returns the stack for other programs, with the ports that its files want and without the values
    /// of env files and of the environment.
    pub fn portable(&self, network: PortableNetwork) -> PortableStack {
        // The main file is read first.
        let main = self.sources.first().and_then(|file| file.path().file_name());
        let file_name = main.unwrap_or_default().to_string_lossy().into_owned();
        let requests = written_port_requests(&self.spec, &self.sources);
        portable_stack(&self.spec, file_name, &self.env_files, &requests, network)
    }

    /// Returns it as the same files give it when their directory was moved.
    pub fn relocated(&self, moved: &DirMove) -> Config {
        let mut config = self.clone();
        config.spec.relocate(moved);
        config.env_files.relocate(moved);
        config.files = config.files.iter().map(|path| moved.path(path)).collect();
        relocate_pwd(&mut config.outer, moved);
        config
    }

    /// Returns the origins of a service's variables: the values it gets with these ports, and the
    /// values they shadow. Empty for an unknown service.
    pub fn explain_env(
        &self,
        service: &Name,
        ports: &BTreeMap<PortKey, AssignedPort>,
        debugged: bool,
        place: Option<&ProxyPlace>,
    ) -> ExplainedEnv {
        let book = AddressBook::new(&self.spec, ports, place);
        let builder = self.builder(&book, ports);
        let spec = self.spec.services.get(service);
        spec.map(|spec| explain(&builder, spec, debugged, &self.sources)).unwrap_or_default()
    }

    fn builder<'a>(
        &'a self,
        book: &'a AddressBook<'a>,
        ports: &'a BTreeMap<PortKey, AssignedPort>,
    ) -> ServiceBuilder<'a> {
        let (spec, files, outer) = (&self.spec, &self.env_files, &self.outer);
        ServiceBuilder { spec, files, outer, book, ports }
    }
}
