//! Snapshots of the stack, with the URLs that other machines can reach.

use std::sync::Arc;

use super::supervisor::Supervisor;
use crate::model::{
    Event, EventKind, ListenAddress, ModeView, Name, Phase, ServiceView, Snapshot, Stack,
    StackState, WhyView, listening_port,
};
use crate::ports::NetworkInterface;

impl Supervisor {
    pub(super) fn snapshot(&mut self) -> Arc<Snapshot> {
        let stack = self.engine.stack().unwrap_or(&self.first_stack);
        let (engine, clock, feed) = (&self.engine, &self.clock, &self.feed);
        let actions = &self.executor.actions;
        let (start, names_down) = (&self.start, *self.names.borrow() == Some(false));
        let make = || {
            let mut services = engine.views(|at| clock.timestamp(at));
            let mode = mode_of(&services);
            let (state, event) = (engine.stack_state(), feed.newest());
            actions.fill(&mut services);
            if names_down {
                services.iter_mut().for_each(|service| service.origin = None);
            }
            let start = Some(start.clone());
            let mut snapshot =
                Snapshot { services, mode, state, event, start, ..empty_snapshot(stack) };
            add_network_urls(&mut snapshot, stack, NetworkInterface::list);
            Arc::new(snapshot)
        };
        self.snapshot.get_or_insert_with(make).clone()
    }

    /// Explains a service, with the same view of it as in snapshots.
    pub(super) fn explain(&mut self, name: &Name) -> Option<WhyView> {
        let clock = &self.clock;
        let why = self.engine.explain(clock.now(), name, |at| clock.timestamp(at))?;
        let seen = self.snapshot();
        let service = seen.services.iter().find(|service| service.name == *name).cloned();
        Some(WhyView { service: service.unwrap_or(why.service), ..why })
    }

    /// A snapshot for the status lines of an event: the affected service, or everything for the
    /// summary.
    pub(super) fn snapshot_for(&mut self, event: &Event) -> Arc<Snapshot> {
        let one = match (&event.what, &event.service) {
            (EventKind::Settled { .. }, _) => return self.snapshot(),
            // Needs no view of the service; a shutdown has hundreds of these.
            (EventKind::Phase { to: Phase::Idle | Phase::Stopping, .. }, _) => None,
            (_, Some(name)) => self.engine.view_of(name, |at| self.clock.timestamp(at)),
            (_, None) => None,
        };
        Arc::new(Snapshot { services: one.into_iter().collect(), ..empty_snapshot(self.stack()) })
    }
}

/// Adds network URLs to a snapshot. Calls `networks` only if something listens beyond loopback.
fn add_network_urls(
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

fn empty_snapshot(stack: &Stack) -> Snapshot {
    Snapshot {
        version: 1,
        stack: stack.name.clone(),
        dir: stack.dir.clone(),
        mode: ModeView::Run,
        supervisor_pid: std::process::id(),
        primary: stack.primary.clone(),
        proxy: stack.proxy.clone(),
        start: None,
        state: StackState::Starting,
        event: 0,
        networks: Vec::new(),
        services: Vec::new(),
    }
}

/// `debug` if any service is in debug mode.
fn mode_of(services: &[ServiceView]) -> ModeView {
    let debug = services.iter().any(|service| service.debug.is_some());
    if debug { ModeView::Debug } else { ModeView::Run }
}
