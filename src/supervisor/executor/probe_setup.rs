//! Sets up what probes can see of a run.

use std::sync::Arc;

use regex::bytes::Regex;

use super::active_run::ActiveRun;
use crate::model::{Probe, Service};
use crate::ports::{BindScope, ListenerOwner};
use crate::probe::ProbeContext;
use crate::process::ProcessManager;
use crate::{ports, probe};

pub(super) fn probe_context(
    held: &ActiveRun,
    service: &Service,
    processes: &Arc<ProcessManager>,
) -> ProbeContext {
    if let Some(container) = &held.container {
        return container.probe_context(&held.handle, service, processes);
    }
    let (handle, processes) = (held.handle.clone(), processes.clone());
    // Listening on its other ports is expected too.
    let given: Vec<u16> = service.own_ports().iter().map(|port| port.number).collect();
    let listening = |tree: &[u32]| {
        ports::listen_addresses(&[tree.to_vec()]).into_iter().flatten().flatten().collect()
    };
    let scope = BindScope::of(&service.launch.host);
    let (adoption, adopting) = (held.adoption.clone(), held.adoption.clone());
    let owner = move |port, tree: &[u32]| adoption.judge(port, listener_owner(port, scope, tree));
    let sight = ProbeContext::new(move || handle.tree_pids(), owner, listening)
        .with_ports(&given)
        .adopting(move |port, holder| {
            let adoption = adopting.clone();
            async move { adoption.adopt(port, &holder).await }
        });
    sight.trying(move |launch| {
        let processes = processes.clone();
        async move { probe::run_command(&processes, &launch).await }
    })
}

fn listener_owner(port: u16, scope: BindScope, tree: &[u32]) -> ListenerOwner {
    match ports::listener_owner(port, scope, tree) {
        // A socket to be passed that no process of the tree has.
        ListenerOwner::Foreign(holder) if holder.is_this_process() => ListenerOwner::NotListening,
        owner => owner,
    }
}

/// The patterns of the log probes, in their order.
pub(super) fn patterns(service: &Service) -> Vec<Regex> {
    let patterns = service.ready.probes.iter().filter_map(|probe| match probe {
        Probe::Log { pattern } => Regex::new(pattern).ok(),
        Probe::Tcp { .. }
        | Probe::Http { .. }
        | Probe::Exec { .. }
        | Probe::Delay { .. }
        | Probe::Notify
        | Probe::Healthcheck { .. } => None,
    });
    patterns.collect()
}
