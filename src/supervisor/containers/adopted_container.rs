use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use super::container_sight::{forwarded, listener_of};
use super::engine_record::EngineRecord;
use crate::container::{
    DiscoveryFacts, EngineClient, InsideListener, candidates, is_process_of, publisher_of,
};
use crate::ports::{ListenerOwner, PortHolder};
use crate::process::{self, ProcessManager};
use crate::regular_file::read_proc;
use crate::sync::lock_unpoisoned;

/// In bytes.
const MAX_GROUPS: u64 = 64 * 1024;

/// Containers that the command of a run started itself, as `docker run -p $PORT:80 …` does: what
/// listens on the port is a program of the engine, and none of the run.
#[derive(Debug, Clone)]
pub struct ContainerAdoption {
    processes: Arc<ProcessManager>,
    record: Arc<EngineRecord>,
    /// In seconds since 1970.
    since: i64,
    /// By the port outside.
    found: Arc<Mutex<BTreeMap<u16, AdoptedContainer>>>,
}

#[derive(Debug, Clone)]
struct AdoptedContainer {
    client: EngineClient,
    id: String,
    /// The first process, if it is one of this machine.
    pid: Option<u32>,
    /// The port inside.
    inside: u16,
    stays: bool,
}

impl ContainerAdoption {
    /// For a run that starts now.
    pub fn new(processes: Arc<ProcessManager>, record: Arc<EngineRecord>) -> ContainerAdoption {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        ContainerAdoption {
            processes,
            record,
            since: i64::try_from(since).unwrap_or_default(),
            found: Arc::default(),
        }
    }

    /// Replaces the owner of a port by a container that was adopted.
    pub fn judge(&self, port: u16, owner: ListenerOwner) -> ListenerOwner {
        let ListenerOwner::Foreign(holder) = owner else { return owner };
        let Some(container) = lock_unpoisoned(&self.found).get(&port).cloned() else {
            return ListenerOwner::Foreign(holder);
        };
        match container.pid.map(|pid| listener_of(pid, container.inside)) {
            Some(InsideListener::None | InsideListener::OnlyLoopback) => {
                ListenerOwner::NotListening
            }
            Some(InsideListener::Reachable) | None => {
                let at = |ip| std::net::SocketAddr::new(ip, port);
                forwarded(&holder.addresses.iter().copied().map(at).collect::<Vec<_>>())
            }
        }
    }

    /// Looks for a container that publishes this port and was started after the run: before, nothing
    /// else can have had the port. Returns whether there is one.
    pub async fn adopt(&self, port: u16, holder: &PortHolder) -> bool {
        if !holder.may_act_for_service() {
            return false;
        }
        if lock_unpoisoned(&self.found).contains_key(&port) {
            return true;
        }
        let environment = self.processes.environment();
        let path = environment.inherited("PATH").map(OsStr::to_owned);
        let find =
            |name: &str| process::locate_program(name.as_ref(), Path::new("/"), path.as_ref()).ok();
        let facts =
            DiscoveryFacts::collect(|name| environment.inherited(name).map(OsStr::to_owned), find);
        for address in candidates(&facts, None).unwrap_or_default() {
            let client = EngineClient::new(address);
            let Ok(running) = client.running().await else { continue };
            let Some(found) = publisher_of(&running, port, self.since) else { continue };
            let Ok(Some(about)) = client.container(&found.id).await else { continue };
            if about.started.is_none_or(|started| started < self.since) {
                continue;
            }
            let groups = |pid: &u32| {
                let groups = read_proc(format!("/proc/{pid}/cgroup"), MAX_GROUPS);
                groups.is_some_and(|groups| is_process_of(&groups, &about.id))
            };
            let pid = about.pid.filter(groups);
            let (id, inside, stays) = (found.id, found.inside, found.stays);
            let container = AdoptedContainer { client, id, pid, inside, stays };
            self.record.adopt(container.client.address(), &container.id, stays).await;
            lock_unpoisoned(&self.found).insert(port, container);
            return true;
        }
        false
    }

    /// Removes or stops what the command left: its program was killed, or does not stop what it started.
    pub async fn end(self) {
        let all = std::mem::take(&mut *lock_unpoisoned(&self.found));
        for AdoptedContainer { client, id, stays, .. } in all.into_values() {
            let ended = if stays { client.stop(&id).await } else { client.remove(&id).await };
            match ended {
                Ok(_) => self.record.forget(&id),
                Err(error) => {
                    tracing::warn!("cannot end container {id}: {}", client.message(&error));
                }
            }
        }
    }
}
