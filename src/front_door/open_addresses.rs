use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::model::{ServiceView, Snapshot, accepts, is_loopback};
use crate::ports::NetworkInterface;

/// On how many addresses of this machine the front door listens: each is a few descriptors.
const MAX_ADDRESSES: usize = 8;

/// Where other machines reach the front door: as long as a service is open to them, at the addresses
/// that this service has itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct OpenAddresses(BTreeMap<SocketAddr, AddressUse>);

#[derive(Debug, Default, PartialEq, Eq)]
struct AddressUse {
    /// The stacks with a service that is open there, by their control sockets.
    stacks: BTreeSet<PathBuf>,
    /// Whose primary service answers for the address itself: a request for an address has no name.
    answers: Option<PathBuf>,
}

/// What of a stack decides about addresses.
pub(super) struct OpenStack<'s> {
    /// The control socket.
    pub socket: &'s Path,
    pub snapshot: &'s Snapshot,
    /// The front ports that lead to it.
    pub fronts: Vec<u16>,
}

impl OpenAddresses {
    /// Decides for these stacks, the first of which outweighs the others. Calls `networks` only if a
    /// service is open.
    pub fn of<'s>(
        stacks: impl IntoIterator<Item = OpenStack<'s>>,
        networks: impl FnOnce() -> Vec<NetworkInterface>,
    ) -> OpenAddresses {
        let stacks: Vec<OpenStack<'_>> = stacks.into_iter().filter(OpenStack::is_open).collect();
        let mut found = OpenAddresses::default();
        if stacks.is_empty() {
            return found;
        }
        let networks = networks();
        for stack in &stacks {
            let Some(proxy) = &stack.snapshot.proxy else { continue };
            for view in stack.open() {
                let reached = networks.iter().take(MAX_ADDRESSES).map(|network| network.address);
                for address in reached.filter(|address| is_open_at(view, *address)) {
                    found.add((address, proxy.port).into(), stack, view);
                    for front in stack.fronts.iter().filter(|_| stack.is_primary(view)) {
                        found.add((address, *front).into(), stack, view);
                    }
                }
            }
        }
        found
    }

    fn add(&mut self, address: SocketAddr, stack: &OpenStack<'_>, view: &ServiceView) {
        let used = self.0.entry(address).or_default();
        used.stacks.insert(stack.socket.to_owned());
        if stack.is_primary(view) {
            used.answers.get_or_insert_with(|| stack.socket.to_owned());
        }
    }

    pub fn all(&self) -> BTreeSet<SocketAddr> {
        self.0.keys().copied().collect()
    }

    /// Returns the addresses at which a service of this stack is open.
    pub fn of_stack(&self, socket: &Path) -> impl Iterator<Item = SocketAddr> {
        self.0
            .iter()
            .filter(move |(_, used)| used.stacks.contains(socket))
            .map(|(address, _)| *address)
    }

    /// Returns the addresses that lead to the primary service of this stack.
    pub fn answered_by(&self, socket: &Path) -> Vec<SocketAddr> {
        let own = self.0.iter().filter(|(_, used)| used.answers.as_deref() == Some(socket));
        own.map(|(address, _)| *address).collect()
    }
}

impl OpenStack<'_> {
    pub fn is_open(&self) -> bool {
        self.open().next().is_some()
    }

    /// Returns the services that have a name and are open.
    fn open(&self) -> impl Iterator<Item = &ServiceView> {
        let named = self.snapshot.services.iter().filter(|view| view.proxy.is_some());
        named.filter(|view| !is_loopback(&view.host))
    }

    fn is_primary(&self, view: &ServiceView) -> bool {
        let primary = self.snapshot.primary.as_ref();
        primary.is_some() && (primary == Some(&view.name) || primary == view.group.as_ref())
    }
}

fn is_open_at(view: &ServiceView, address: IpAddr) -> bool {
    match view.host.parse::<IpAddr>() {
        // Programs listen there for IPv4, too.
        Ok(IpAddr::V6(host)) if host.is_unspecified() => {
            accepts(&[host.into(), Ipv4Addr::UNSPECIFIED.into()], address)
        }
        Ok(host) => accepts(&[host], address),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn snapshot(port: u16, primary: &str, services: &[(&str, &str)]) -> Snapshot {
        let view = |(name, host): &(&str, &str)| {
            json!({
                "name": name, "kind": "service", "phase": "ready", "since": "", "cause": "",
                "restarts": 0, "pinned": false, "ports": {}, "host": host, "waiting_on": [],
                "proxy": { "label": name, "host": "keep", "balance": "least" },
            })
        };
        let views: Vec<_> = services.iter().map(view).collect();
        serde_json::from_value(json!({
            "version": 1, "stack": "shop", "dir": "/shop", "mode": "run", "supervisor_pid": 1,
            "state": "up", "primary": primary, "services": views,
            "proxy": { "domain": "shop.localhost", "port": port, "wait_ms": 0, "parked": 0, "bodies": 0 },
        }))
        .unwrap()
    }

    fn networks() -> Vec<NetworkInterface> {
        let network = |name: &str, address: &str| NetworkInterface {
            name: name.to_owned(),
            address: address.parse().unwrap(),
            prefix: 24,
        };
        vec![
            network("eth0", "192.168.1.7"),
            network("eth1", "10.0.0.7"),
            network("eth0", "fd00::7"),
        ]
    }

    fn addresses(found: &[SocketAddr]) -> Vec<String> {
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn nobody_is_let_in_unless_a_service_is_open() {
        let shop = snapshot(7780, "web", &[("web", "127.0.0.1"), ("api", "localhost")]);
        let stack = OpenStack { socket: Path::new("/shop"), snapshot: &shop, fronts: vec![3000] };
        let found = OpenAddresses::of([stack], || panic!("nothing is looked up"));
        assert!(found.all().is_empty());
    }

    #[test]
    fn addresses_are_those_of_the_open_services() {
        let shop = snapshot(7780, "web", &[("web", "127.0.0.1"), ("api", "10.0.0.7")]);
        let blog = snapshot(7780, "site", &[("site", "0.0.0.0")]);
        let wiki = snapshot(7780, "wiki", &[("wiki", "::")]);
        let stack = |name, snapshot, fronts: &[u16]| OpenStack {
            socket: Path::new(name),
            snapshot,
            fronts: fronts.to_vec(),
        };
        let found = OpenAddresses::of(
            [
                stack("/shop", &shop, &[3000]),
                stack("/blog", &blog, &[]),
                stack("/wiki", &wiki, &[3001]),
            ],
            networks,
        );
        let all: Vec<SocketAddr> = found.all().into_iter().collect();
        let expected = [
            "10.0.0.7:3001",
            "10.0.0.7:7780",
            "192.168.1.7:3001",
            "192.168.1.7:7780",
            "[fd00::7]:3001",
            "[fd00::7]:7780",
        ];
        assert_eq!(addresses(&all), expected);
        // Its primary service is not open.
        assert!(found.answered_by(Path::new("/shop")).is_empty());
        let of_shop: Vec<SocketAddr> = found.of_stack(Path::new("/shop")).collect();
        assert_eq!(addresses(&of_shop), ["10.0.0.7:7780"]);
        let of_blog = found.answered_by(Path::new("/blog"));
        assert_eq!(addresses(&of_blog), ["10.0.0.7:7780", "192.168.1.7:7780"]);
        // What the first one leaves.
        let of_wiki = found.answered_by(Path::new("/wiki"));
        let left = ["10.0.0.7:3001", "192.168.1.7:3001", "[fd00::7]:3001", "[fd00::7]:7780"];
        assert_eq!(addresses(&of_wiki), left);
    }
}
