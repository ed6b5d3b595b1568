//! Sets up what probes can see of a run.

use std::sync::Arc;

use crate::model::Service;
use crate::probe::ProbeContext;
use crate::process::{ProcessManager, RunHandle};
use crate::{ports, probe};

pub(super) fn probe_context(
    leash: &RunHandle,
    service: &Service,
    processes: &Arc<ProcessManager>,
) -> ProbeContext {
    let (leash, processes) = (leash.clone(), processes.clone());
    // Listening on its other ports is expected too.
    let given: Vec<u16> = service.ports.iter().map(|port| port.number).collect();
    let listening = |tree: &[u32]| {
        ports::listen_addresses(&[tree.to_vec()]).into_iter().flatten().flatten().collect()
    };
    let sight =
        ProbeContext::new(move || leash.tree_pids(), port_ownership, listening).with_ports(&given);
    sight.trying(move |launch| {
        let processes = processes.clone();
        async move { probe::run_command(&processes, &launch).await }
    })
}

fn port_ownership(port: u16, tree: &[u32]) -> probe::PortOwnership {
    match ports::listener_owner(port, tree) {
        ports::ListenerOwner::Ours(listening) => probe::PortOwnership::Ours(listening),
        ports::ListenerOwner::Shared(listening, holder) => {
            probe::PortOwnership::Shared(listening, holder.to_string())
        }
        // A socket to be passed that no process of the tree has.
        ports::ListenerOwner::Foreign(holder) if holder.is_this_process() => {
            probe::PortOwnership::Nobody
        }
        ports::ListenerOwner::Foreign(holder) => probe::PortOwnership::Foreign(holder.to_string()),
        ports::ListenerOwner::NotListening => probe::PortOwnership::Nobody,
        ports::ListenerOwner::Unknown => probe::PortOwnership::Unknown,
    }
}
