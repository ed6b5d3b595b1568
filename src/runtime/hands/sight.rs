//! Sets up what probes can see of a run.

use std::sync::Arc;

use crate::model::Service;
use crate::ports;
use crate::runtime::probe::{self, Sight};
use crate::runtime::process::{ProcessManager, RunHandle};

pub(super) fn sight(
    leash: &RunHandle,
    service: &Service,
    processes: &Arc<ProcessManager>,
) -> Sight {
    let (leash, processes) = (leash.clone(), processes.clone());
    // Listening on its other ports is expected too.
    let given: Vec<u16> = service.ports.iter().map(|port| port.number).collect();
    let listening = |tree: &[u32]| {
        ports::listen_addresses(&[tree.to_vec()]).into_iter().flatten().flatten().collect()
    };
    let sight = Sight::new(move || leash.tree_pids(), owner, listening).given(&given);
    sight.trying(move |launch| {
        let processes = processes.clone();
        async move { probe::try_out(&processes, &launch).await }
    })
}

fn owner(port: u16, tree: &[u32]) -> probe::Owner {
    match ports::listener_owner(port, tree) {
        ports::ListenerOwner::Ours(listening) => probe::Owner::Ours(listening),
        ports::ListenerOwner::Shared(listening, holder) => {
            probe::Owner::Shared(listening, holder.to_string())
        }
        // A socket to be passed that no process of the tree has.
        ports::ListenerOwner::Foreign(holder) if holder.is_this_process() => probe::Owner::Nobody,
        ports::ListenerOwner::Foreign(holder) => probe::Owner::Foreign(holder.to_string()),
        ports::ListenerOwner::NotListening => probe::Owner::Nobody,
        ports::ListenerOwner::Unknown => probe::Owner::Unknown,
    }
}
