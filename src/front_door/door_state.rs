use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use super::bound_ports::BoundPorts;
use super::door_protocol::{DoorReply, DoorStack, DoorStatus};
use super::front_ports::FrontPorts;
use super::open_addresses::{OpenAddresses, OpenStack};
use crate::model::{Message, MessageClass, Snapshot, StackProxy};
use crate::ports::NetworkInterface;
use crate::proxy::RouteTable;

/// What the front door knows of stacks, and where it listens for them.
#[derive(Default)]
pub(super) struct DoorState {
    /// By the order in which they came.
    pub stacks: BTreeMap<u64, JoinedStack>,
    pub joined: u64,
    pub ports: BoundPorts,
    pub fronts: FrontPorts,
    /// Why nothing listens on front ports.
    front_errors: BTreeMap<u16, String>,
    /// Where other machines are let in.
    network: OpenAddresses,
    /// Why nothing listens there.
    network_errors: BTreeMap<SocketAddr, String>,
    /// Stacks of the earlier front door that have not said yet what they serve.
    pub expected: BTreeSet<PathBuf>,
}

/// A stack that is served.
pub(super) struct JoinedStack {
    pub socket: PathBuf,
    pub port: u16,
    pub snapshot: Option<Arc<Snapshot>>,
}

impl DoorState {
    /// Makes front ports and sockets fit the snapshots; connections of new sockets go to `accept`.
    /// Returns whether stacks must be told.
    pub fn settle<F: Future<Output = ()> + 'static>(
        &mut self,
        accept: impl Fn(tokio::net::TcpListener) -> F,
    ) -> bool {
        let DoorState { stacks, ports, fronts, front_errors, network, network_errors, .. } = self;
        let before = (fronts.ports(), std::mem::take(network_errors));
        fronts.settle(stacks.values().map(|stack| (stack.socket.as_path(), stack.front())));
        front_errors.clear();
        for port in fronts.ports() {
            if let Err(error) = ports.open(port, &accept) {
                fronts.drop_port(port);
                front_errors.insert(port, error.to_string());
            }
        }
        let open_stacks = stacks.values().filter_map(|stack| stack.as_open(fronts));
        let addresses = OpenAddresses::of(open_stacks, NetworkInterface::list);
        let needed = stacks.values().map(|stack| stack.port).chain(fronts.ports()).collect();
        ports.keep(&needed, &addresses.all());
        for address in addresses.all() {
            if let Err(error) = ports.open_at(address, &accept) {
                network_errors.insert(address, error.to_string());
            }
        }
        let moved = std::mem::replace(network, addresses) != *network;
        moved
            || (fronts.ports(), &*network_errors) != (before.0, &before.1)
            || !front_errors.is_empty()
    }

    /// Whether a service is open to other machines, even if there is no network at the moment.
    pub fn is_open(&self) -> bool {
        self.stacks
            .values()
            .filter_map(|stack| stack.as_open(&self.fronts))
            .any(|stack| stack.is_open())
    }

    /// Returns the routes of all stacks.
    pub fn routes(&self) -> RouteTable {
        let domains =
            || self.stacks.values().filter_map(|it| Some((it, it.proxy()?.domain.as_str())));
        let fronts: Vec<(u16, &str)> = domains()
            .flat_map(|(it, domain)| {
                self.fronts.of(&it.socket).into_iter().map(move |at| (at, domain))
            })
            .collect();
        let network: Vec<(SocketAddr, &str)> = domains()
            .flat_map(|(it, domain)| {
                self.network.answered_by(&it.socket).into_iter().map(move |at| (at, domain))
            })
            .collect();
        let snapshots: Vec<_> = self.stacks.values().filter_map(|it| it.snapshot.clone()).collect();
        RouteTable::new(snapshots).with_fronts(fronts).with_network(network)
    }

    /// Returns what a stack is told, and the sockets of which it gets copies.
    pub fn serving(&self, id: u64) -> (DoorReply, Vec<Rc<TcpListener>>) {
        let sockets = self.ports.sockets();
        let wanted = self.stacks.get(&id).and_then(JoinedStack::front);
        let own = self.stacks.get(&id).map(|stack| stack.socket.as_path());
        let trouble = self.front_trouble(wanted).or_else(|| self.network_trouble(own?));
        let peers = self.stacks.values().map(|stack| &stack.socket);
        let peers = peers.filter(|socket| Some(socket.as_path()) != own).cloned().collect();
        let fronts = own.map(|own| self.fronts.of(own)).unwrap_or_default();
        (DoorReply::Serving { fronts, peers, trouble, descriptors: sockets.len() }, sockets)
    }

    pub fn status(&self, own_page: bool) -> DoorStatus {
        let stack = |stack: &JoinedStack| DoorStack {
            socket: stack.socket.clone(),
            fronts: self.fronts.of(&stack.socket),
            network: self.network.answered_by(&stack.socket),
        };
        DoorStatus {
            pid: std::process::id(),
            devstack: env!("CARGO_PKG_VERSION").to_owned(),
            ports: self.ports.ports().into_iter().collect(),
            dashboard: self.stacks.values().next().filter(|_| own_page).map(|stack| stack.port),
            stacks: self.stacks.values().map(stack).collect(),
        }
    }

    fn front_trouble(&self, wanted: Option<u16>) -> Option<Message> {
        let (port, error) = wanted.and_then(|port| Some((port, self.front_errors.get(&port)?)))?;
        let text = format!("cannot listen on front port {port}: {error}");
        let help = "free it, choose another `front`, or end stacks that have front ports";
        Some(Message::new(MessageClass::Port, text).help(help))
    }

    fn network_trouble(&self, stack: &Path) -> Option<Message> {
        let mut addresses = self.network.of_stack(stack);
        let (address, error) =
            addresses.find_map(|address| Some((address, self.network_errors.get(&address)?)))?;
        let text = format!("other machines cannot use names: cannot listen on {address}: {error}");
        let help = format!("run `devstack ports {}` to see what is using it", address.port());
        Some(Message::new(MessageClass::Port, text).help(help))
    }
}

impl JoinedStack {
    fn proxy(&self) -> Option<&StackProxy> {
        self.snapshot.as_ref()?.proxy.as_ref()
    }

    /// Returns what decides about addresses; `None`: that is not known yet.
    fn as_open(&self, fronts: &FrontPorts) -> Option<OpenStack<'_>> {
        let snapshot = self.snapshot.as_deref()?;
        Some(OpenStack { socket: &self.socket, snapshot, fronts: fronts.of(&self.socket) })
    }

    /// Returns the front port that its file names.
    fn front(&self) -> Option<u16> {
        self.proxy()?.front
    }
}
