use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::client::ProxyClient;
use super::headers;
use super::host_name::HostName;
use super::route::{ReplicaState, Route, Sleep, StackRoutes, UpstreamId};
use crate::https::HttpsConfig;
use crate::model::{DisplayPath, HttpsUse, Name, ServiceView, Snapshot, StackState, is_loopback};

/// Where requests for all names of all stacks go. Immutable: a change makes another one.
#[derive(Debug, Default)]
pub struct RouteTable {
    names: BTreeMap<String, RoutedName>,
    /// What answers as `localhost`, by the port that the client is connected to.
    fronts: BTreeMap<u16, Arc<Route>>,
    /// What answers other machines that ask for no name, by the address that they are connected to.
    network: BTreeMap<SocketAddr, Arc<Route>>,
}

/// What a full name stands for.
#[derive(Debug)]
enum RoutedName {
    Service(Arc<Route>),
    /// The domain of a stack, with its primary service.
    Domain(Arc<StackRoutes>, Option<Arc<Route>>),
}

/// What is known about the name in a request.
#[derive(Debug)]
pub(super) enum RouteMatch<'t> {
    Service(&'t Arc<Route>),
    /// The stack exists, the service does not.
    NoService(&'t StackRoutes),
    Unknown,
}

impl RouteTable {
    /// Makes the routes of these stacks. Where two have the same name, the first one keeps it.
    pub fn new(stacks: impl IntoIterator<Item = Arc<Snapshot>>) -> RouteTable {
        let mut table = RouteTable::default();
        for snapshot in stacks {
            table.add(&snapshot);
        }
        table
    }

    /// Makes `localhost` on these ports mean the primary service of a stack, given by its domain.
    pub fn with_fronts<'d>(
        mut self,
        fronts: impl IntoIterator<Item = (u16, &'d str)>,
    ) -> RouteTable {
        let found =
            fronts.into_iter().filter_map(|(port, domain)| Some((port, self.primary(domain)?)));
        self.fronts = found.collect();
        self
    }

    /// Makes these addresses of this machine mean the primary service of a stack, given by its
    /// domain, if that is open.
    pub fn with_network<'d>(
        mut self,
        addresses: impl IntoIterator<Item = (SocketAddr, &'d str)>,
    ) -> RouteTable {
        let found =
            addresses.into_iter().filter_map(|(at, domain)| Some((at, self.primary(domain)?)));
        self.network = found.filter(|(_, route)| route.is_open).collect();
        self
    }

    fn primary(&self, domain: &str) -> Option<Arc<Route>> {
        match self.names.get(domain) {
            Some(RoutedName::Domain(_, primary)) => primary.clone(),
            Some(RoutedName::Service(_)) | None => None,
        }
    }

    fn add(&mut self, snapshot: &Snapshot) {
        let Some(proxy) = &snapshot.proxy else { return };
        let mut labels: BTreeMap<&str, Vec<&ServiceView>> = BTreeMap::new();
        for view in &snapshot.services {
            if let Some(served) = &view.proxy {
                labels.entry(&served.label).or_default().push(view);
            }
        }
        let domain = proxy.domain.to_ascii_lowercase();
        let name_of = |label: &str| format!("{label}.{domain}").to_ascii_lowercase();
        let dir = DisplayPath(&snapshot.dir).to_string();
        let stack = Arc::new(StackRoutes {
            stack: snapshot.stack.clone(),
            https_only: proxy.https == HttpsUse::Required,
            wait: Duration::from_millis(proxy.wait_ms),
            parked: proxy.parked,
            bodies: proxy.requests.then(|| usize::try_from(proxy.bodies).unwrap_or(usize::MAX)),
            ending: matches!(snapshot.state, StackState::Stopping | StackState::Stopped),
            names: labels.keys().map(|label| name_of(label)).collect(),
            domain: domain.clone(),
            dir,
        });
        let route = |label: &str, service: &Name, views: &[&ServiceView]| {
            let served = views.first()?.proxy.as_ref()?;
            let replica =
                |view: &&ServiceView| ReplicaState::new(view, snapshot.supervisor_pid, &stack.dir);
            let name = name_of(label);
            Some(Arc::new(Route {
                mark: headers::route_mark(&name),
                name,
                service: service.clone(),
                stack: stack.clone(),
                host: served.host,
                balance: served.balance,
                is_open: !views.iter().any(|view| is_loopback(&view.host)),
                replicas: views.iter().map(replica).collect(),
            }))
        };
        let mut primary = None;
        for (label, views) in &labels {
            let Some(first) = views.first() else { continue };
            let service = first.group.as_ref().unwrap_or(&first.name);
            let Some(all) = route(label, service, views) else { continue };
            let is = |name: &Name| service == name || views.iter().any(|view| view.name == *name);
            if snapshot.primary.as_ref().is_some_and(is) {
                primary = Some(all.clone());
            }
            self.insert(all.name.clone(), RoutedName::Service(all));
        }
        for view in labels.values().flatten().filter(|view| view.group.is_some()) {
            if let Some(one) = route(view.name.as_str(), &view.name, &[view]) {
                self.insert(one.name.clone(), RoutedName::Service(one));
            }
        }
        self.insert(stack.domain.clone(), RoutedName::Domain(stack, primary));
    }

    fn insert(&mut self, name: String, routed: RoutedName) {
        self.names.entry(name).or_insert(routed);
    }

    /// Finds the route of a name for a client. Another machine gets open services only, and does not
    /// learn of others.
    pub(super) fn find_for(
        &self,
        client: &ProxyClient,
        https: &HttpsConfig,
        host: &HostName,
    ) -> RouteMatch<'_> {
        if client.is_remote() {
            let address = client.reached;
            let route = self.network.get(&address).filter(|_| host.is(address.ip()));
            return match route.map_or_else(|| self.find(host), RouteMatch::Service) {
                RouteMatch::Service(route) if route.is_open => RouteMatch::Service(route),
                RouteMatch::Service(_) | RouteMatch::NoService(_) | RouteMatch::Unknown => {
                    RouteMatch::Unknown
                }
            };
        }
        // Names that the user gave to `devstack trust` stand for this machine.
        let is_front =
            || host.is_this_machine() || !host.is_local() && https.permits(host.as_str());
        match self.fronts.get(&client.reached.port()).filter(|_| is_front()) {
            Some(route) => RouteMatch::Service(route),
            None => self.find(host),
        }
    }

    /// Whether a service is open to other machines.
    pub(super) fn has_open(&self) -> bool {
        self.routes().any(|route| route.is_open)
    }

    /// Finds the route of a name or of the longest name that it is below: `tenant.api.shop.localhost`
    /// goes to `api`.
    pub(super) fn find(&self, host: &HostName) -> RouteMatch<'_> {
        for name in host.suffixes() {
            match self.names.get(name) {
                Some(RoutedName::Service(route)) => return RouteMatch::Service(route),
                Some(RoutedName::Domain(_, Some(primary))) if name == host.as_str() => {
                    return RouteMatch::Service(primary);
                }
                Some(RoutedName::Domain(stack, _)) => return RouteMatch::NoService(stack),
                None => {}
            }
        }
        RouteMatch::Unknown
    }

    /// Whether requests of a route may still go to this run.
    pub(super) fn is_ready(&self, route: &Route, upstream: &UpstreamId) -> bool {
        match self.names.get(&route.name) {
            Some(RoutedName::Service(route)) => route.ready().any(|id| **id == *upstream),
            Some(RoutedName::Domain(..)) | None => false,
        }
    }

    /// Whether a replica of a route has crashed just now.
    pub(super) fn has_crashed(&self, route: &Route) -> bool {
        match self.names.get(&route.name) {
            Some(RoutedName::Service(route)) => route.has_crashed(),
            Some(RoutedName::Domain(..)) | None => false,
        }
    }

    /// Whether a stack or a service has exactly this name.
    pub(super) fn has_name(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    /// Returns the names of all stacks and services, sorted.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(String::as_str)
    }

    pub(super) fn stacks(&self) -> impl Iterator<Item = &Arc<StackRoutes>> {
        self.names.values().filter_map(|routed| match routed {
            RoutedName::Domain(stack, _) => Some(stack),
            RoutedName::Service(_) => None,
        })
    }

    pub(super) fn routes(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.names.values().filter_map(|routed| match routed {
            RoutedName::Service(route) => Some(route),
            RoutedName::Domain(..) => None,
        })
    }

    pub(super) fn asleep(&self) -> impl Iterator<Item = &Arc<Sleep>> {
        self.routes().flat_map(|route| route.asleep())
    }

    /// Returns all runs that take requests.
    pub(super) fn upstreams(&self) -> impl Iterator<Item = &Arc<UpstreamId>> {
        self.routes().flat_map(|route| route.ready())
    }
}
