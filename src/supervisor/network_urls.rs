//! URLs that other machines can reach.

use crate::model::{ListenAddress, Snapshot, Stack, listening_port};
use crate::ports::NetworkInterface;

/// Adds network URLs to a snapshot. Calls `networks` only if something listens beyond loopback.
pub(super) fn add_network_urls(
    snapshot: &mut Snapshot,
    stack: &Stack,
    networks: impl FnOnce() -> Vec<NetworkInterface>,
) {
    let is_open = |listening: &Vec<ListenAddress>| listening.iter().any(ListenAddress::is_public);
    if !snapshot.services.iter().any(|view| view.listening.as_ref().is_some_and(is_open)) {
        return;
    }
    let networks = networks();
    let mut all = Vec::new();
    for view in &mut snapshot.services {
        let Some(listening) = &view.listening else { continue };
        all.extend(listening.iter().cloned());
        // The main port first, as in the list of ports of a service.
        let others = view.ports.values().copied().filter(|port| Some(*port) != view.port);
        let ports: Vec<u16> = view.port.into_iter().chain(others).collect();
        if let Some(port) = listening_port(&ports, listening).filter(|_| view.port.is_some()) {
            // A removed service that is still stopping has no format any more.
            let service = stack.services.get(&view.name);
            let form = service.map(|service| service.url_form.clone()).unwrap_or_default();
            view.network_urls = NetworkInterface::urls(&networks, &form, port, listening);
        }
    }
    snapshot.networks = NetworkInterface::reachable_from(&networks, &all);
}
