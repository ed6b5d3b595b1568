//! What probes see of a container: whether its own program listens inside, which the published port
//! does not show.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use super::container_run::{ContainerRun, ContainerState};
use crate::container::{
    ContainerHealth, InsideListener, MEMBERS, check_command, exec_command, group_dirs,
    inside_listener, is_process_of,
};
use crate::model::{
    ContainerEngine, LaunchConfig, Message, MessageClass, Name, ProcessExit, Service, bind_address,
};
use crate::ports::ListenerOwner;
use crate::probe::{self, ContainerProbes, ProbeCommandEnd, ProbeCommandOutput, ProbeContext};
use crate::process::{ProcessManager, RunHandle};
use crate::regular_file::read_proc;

/// In bytes, of `/proc/PID/net/tcp`: thousands of connections.
const MAX_TABLE: u64 = 8 * 1024 * 1024;

impl ContainerRun {
    /// Returns what probes can see.
    pub fn probe_context(
        &self,
        handle: &RunHandle,
        service: &Service,
        processes: &Arc<ProcessManager>,
    ) -> ProbeContext {
        let ports = service.own_ports();
        let inside: Vec<(u16, u16)> = ports
            .iter()
            .filter_map(|port| Some((port.number, service.inside_port(port)?)))
            .collect();
        let given: Vec<u16> = ports.iter().map(|port| port.number).collect();
        let (host, tree) = (service.launch.host.clone(), handle.tree_fn());
        let (state, ports) = (self.state.clone(), inside.clone());
        let owner = move |port: u16, _: &[u32]| {
            let inner =
                ports.iter().find(|(outside, _)| *outside == port).map(|(_, inside)| *inside);
            match inner.map(|inner| state.listener(inner)) {
                Some(Some(InsideListener::Reachable)) => {
                    ListenerOwner::Ours(vec![bind_address(&host, port)])
                }
                Some(Some(InsideListener::OnlyLoopback | InsideListener::None)) => {
                    ListenerOwner::NotListening
                }
                // The engine runs elsewhere.
                Some(None) | None => ListenerOwner::Unknown,
            }
        };
        let (state, name, ports) = (self.state.clone(), service.name.clone(), inside);
        let hint = move |port: u16| {
            let (_, inner) = ports.iter().find(|(outside, _)| *outside == port)?;
            let listener = state.listener(*inner)?;
            (listener == InsideListener::OnlyLoopback).then(|| only_loopback(&name, *inner))
        };
        let state = self.state.clone();
        let runs = move || -> probe::BoxedStart {
            let mut seen = state.seen.subscribe();
            // The sender is part of what this run has: without it, nothing is left to probe.
            Box::pin(async move { drop(seen.wait_for(|seen| *seen).await) })
        };
        let (state, starter) = (self.state.clone(), processes.clone());
        let health = move || -> probe::BoxedHealth {
            let (state, processes) = (state.clone(), starter.clone());
            Box::pin(async move { state.health(&processes).await })
        };
        let (state, starter) = (self.state.clone(), processes.clone());
        let trying = move |launch: LaunchConfig| {
            let (state, processes) = (state.clone(), starter.clone());
            async move {
                match state.place() {
                    Some(place) => {
                        let launch = exec_command(&place, &launch, false);
                        probe::run_command(&processes, &launch).await
                    }
                    None => ProbeCommandOutput {
                        verdict: ProbeCommandEnd::NotStarted(not_running()),
                        status: Vec::new(),
                    },
                }
            }
        };
        ProbeContext::new(tree, owner, |_| Vec::new())
            .with_ports(&given)
            .trying(trying)
            .in_container(ContainerProbes {
                hint: Box::new(hint),
                runs: Box::new(runs),
                health: Box::new(health),
            })
    }
}

impl ContainerState {
    /// Returns the pid of its first process, if that is a process of this machine.
    pub fn local_pid(&self) -> Option<u32> {
        self.local_groups().map(|(pid, _)| pid)
    }

    /// Returns the pids of all its processes, if they are of this machine.
    pub fn local_pids(&self) -> Vec<u32> {
        let Some((pid, dirs)) = self.local_groups() else { return Vec::new() };
        let listed = dirs.iter().find_map(|dir| read_proc(dir.join(MEMBERS), MAX_TABLE));
        let members = listed.iter().flat_map(|text| text.lines()).filter_map(|it| it.parse().ok());
        members.chain([pid]).collect()
    }

    /// Returns the pid of its first process and the directories of its control groups, if they are of
    /// this machine.
    pub fn local_groups(&self) -> Option<(u32, Vec<PathBuf>)> {
        let facts = self.running.get()?;
        let pid = facts.pid?;
        let groups = read_proc(format!("/proc/{pid}/cgroup"), MAX_TABLE)?;
        is_process_of(&groups, &facts.id).then(|| (pid, group_dirs(&groups, &facts.id)))
    }

    /// Returns what listens on a port inside. `None`: that cannot be seen from here.
    fn listener(&self, port: u16) -> Option<InsideListener> {
        match self.running.get() {
            None => Some(InsideListener::None),
            Some(_) => Some(listener_of(self.local_pid()?, port)),
        }
    }

    /// Whether it is healthy, and why not. `None`: its image has no HEALTHCHECK. What the engine knows is
    /// good news only once its first interval is over, so until then its check is run here.
    async fn health(&self, processes: &ProcessManager) -> Option<Result<(), String>> {
        let (Some(client), Some(place)) = (self.client.get(), self.place()) else {
            return Some(Err(not_running().text));
        };
        let check = self.running.get()?.healthcheck.as_ref()?;
        if client.address().engine == ContainerEngine::Docker {
            match client.container(&self.name).await.map(|facts| facts.and_then(|it| it.health)) {
                Ok(Some(ContainerHealth::Healthy)) => return Some(Ok(())),
                Ok(Some(ContainerHealth::Unhealthy)) => return Some(Err(unhealthy())),
                Ok(Some(ContainerHealth::Starting) | None) => {}
                Err(error) => return Some(Err(client.message(&error).text)),
            }
        }
        // Podman itself checks only where there is systemd.
        let launch = check_command(&place, check);
        Some(match probe::run_command(processes, &launch).await.verdict {
            ProbeCommandEnd::Ended(ProcessExit::Code(0)) => Ok(()),
            ProbeCommandEnd::Ended(_) => Err(unhealthy()),
            ProbeCommandEnd::NotStarted(why) => Err(why.text),
            ProbeCommandEnd::Late(limit) => {
                Err(format!("the health check of its image took longer than {limit:?}"))
            }
        })
    }
}

/// Returns what listens on a port in the network of a process.
pub(super) fn listener_of(pid: u32, port: u16) -> InsideListener {
    let table = |name: &str| read_proc(format!("/proc/{pid}/net/{name}"), MAX_TABLE);
    let tables = [table("tcp").unwrap_or_default(), table("tcp6").unwrap_or_default()];
    inside_listener(&[&tables[0], &tables[1]], port)
}

/// The address of a listener that the engine forwards to.
pub(super) fn forwarded(addresses: &[SocketAddr]) -> ListenerOwner {
    ListenerOwner::Ours(addresses.to_vec())
}

fn not_running() -> Message {
    Message::new(MessageClass::Container, "its container does not run yet")
}

fn unhealthy() -> String {
    "the health check of its image fails".to_owned()
}

fn only_loopback(name: &Name, port: u16) -> Message {
    let text = format!(
        "{name} listens on port {port} of 127.0.0.1 inside its container, where no published port leads"
    );
    Message::new(MessageClass::Port, text)
        .help("have it listen on 0.0.0.0, which HOST says inside the container")
}
