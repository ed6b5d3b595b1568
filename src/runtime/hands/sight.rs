//! What probes of a run may see of the world.

use std::sync::Arc;

use crate::model::Service;
use crate::ports;
use crate::runtime::probe::{self, Sight};
use crate::runtime::process::{Leash, Processes};

/// The sight of a run of this service.
pub(super) fn sight(leash: &Leash, service: &Service, processes: &Arc<Processes>) -> Sight {
    let (leash, processes) = (leash.clone(), processes.clone());
    // Its other ports are no news: only where nobody told it to listen is it elsewhere.
    let given: Vec<u16> = service.ports.iter().map(|port| port.number).collect();
    let listening =
        |tree: &[u32]| ports::listening(&[tree.to_vec()]).into_iter().flatten().flatten().collect();
    let sight = Sight::new(move || leash.tree_pids(), owner, listening).given(&given);
    sight.trying(move |launch| {
        let processes = processes.clone();
        async move { probe::try_out(&processes, &launch).await }
    })
}

fn owner(port: u16, tree: &[u32]) -> probe::Owner {
    match ports::listener_owner(port, tree) {
        ports::Owner::Owned(listening) => probe::Owner::Ours(listening),
        ports::Owner::Shared(listening, holder) => {
            probe::Owner::Shared(listening, holder.to_string())
        }
        // A socket that is to be passed, and that nobody of the tree has.
        ports::Owner::Foreign(holder) if holder.is_devstack() => probe::Owner::Nobody,
        ports::Owner::Foreign(holder) => probe::Owner::Foreign(holder.to_string()),
        ports::Owner::Nobody => probe::Owner::Nobody,
        ports::Owner::Unknown => probe::Owner::Unknown,
    }
}
