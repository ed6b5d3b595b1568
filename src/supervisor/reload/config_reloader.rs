use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, MutexGuard};

use tokio::sync::mpsc;

use super::stable_read;
use super::stack_loader::{PreviewResult, ReloadBaseline, ReloadOutcome, StackLoader};
use crate::config::{self, Config, DebugServices};
use crate::model::{
    AssignedPort, ConflictPolicy, Name, PortKey, PortRequest, Service, Stack, WantedPort,
};
use crate::ports::PortAllocator;

/// Work done off the loop.
pub(crate) enum ReloadTask {
    /// Reread the files.
    Read,
    /// Change which services are in debug mode.
    Switch,
    /// Choose other ports for services that lost one.
    Place,
}

/// Reloads the configuration, changes modes, and reassigns lost ports. Does one thing at a time:
/// what comes in meanwhile is done afterwards.
pub struct ConfigReloader {
    loader: StackLoader,
    /// The last applied configuration: the files may be in the middle of an edit.
    applied: Arc<Config>,
    busy: bool,
    /// The files have changed since they were last read.
    files_changed: bool,
    switching: bool,
    lost_ports: BTreeSet<Name>,
    /// Ports that services could not bind although nothing is listening there, since they were last
    /// ready.
    avoided: BTreeMap<Name, BTreeSet<u16>>,
    /// Whether ports were chosen again; before that, every port is in use.
    reassigned: bool,
    /// Whether the files are watched at all.
    pub(crate) follows: bool,
}

impl ConfigReloader {
    /// Creates an idle reloader. `applied`: the configuration of the first stack. `follows`:
    /// whether changes of files are reported.
    pub fn new(loader: StackLoader, applied: Arc<Config>, follows: bool) -> ConfigReloader {
        let (busy, stale, switching, moved) = (false, false, false, false);
        let (lost, shunned) = (BTreeSet::new(), BTreeMap::new());
        ConfigReloader {
            loader,
            applied,
            busy,
            files_changed: stale,
            switching,
            lost_ports: lost,
            avoided: shunned,
            reassigned: moved,
            follows,
        }
    }

    pub(crate) fn files_changed(&mut self) {
        self.files_changed = true;
    }

    pub(crate) fn modes_changed(&mut self) {
        self.switching = true;
    }

    pub(crate) fn reassign(&mut self, name: Name) {
        self.lost_ports.insert(name);
    }

    /// Notes that a service cannot bind its own `port` although nothing is listening there. Returns
    /// whether it may have another one; this one is then avoided until the service is ready.
    pub(crate) fn avoid_port(&mut self, service: &Service, port: u16) -> bool {
        let key = |one: &AssignedPort| PortKey::new(&service.name, &one.name);
        let key = service.ports.iter().find(|one| one.number == port).map(key);
        let requests =
            self.applied.port_requests_with(&DebugServices::from([service.name.clone()]));
        let request = requests.iter().find(|request| Some(&request.key) == key.as_ref());
        let moves = request.is_some_and(|request| match request.wanted {
            WantedPort::Any
            | WantedPort::Preferred(_, ConflictPolicy::Next | ConflictPolicy::Auto) => true,
            WantedPort::Preferred(
                _,
                ConflictPolicy::Fail | ConflictPolicy::Ask | ConflictPolicy::Strict,
            )
            | WantedPort::Pinned(_) => false,
        });
        if moves {
            self.avoided.entry(service.name.clone()).or_default().insert(port);
        }
        moves
    }

    /// Clears the avoided ports of a ready service: they may be free again.
    pub(crate) fn clear_avoided(&mut self, name: &Name) {
        self.avoided.remove(name);
    }

    /// Returns the task to start now, if any.
    pub(crate) fn due(&self) -> Option<ReloadTask> {
        match (self.busy, self.files_changed, self.switching) {
            (true, _, _) => None,
            // The files first: they may bring other ports.
            (false, true, _) => Some(ReloadTask::Read),
            (false, false, true) => Some(ReloadTask::Switch),
            (false, false, false) => (!self.lost_ports.is_empty()).then_some(ReloadTask::Place),
        }
    }

    /// The last applied configuration.
    pub(crate) fn applied(&self) -> Arc<Config> {
        self.applied.clone()
    }

    /// The port requests of the last applied configuration, with these services in debug mode.
    pub(crate) fn known(&self, debugged: &DebugServices) -> Vec<PortRequest> {
        self.applied.port_requests_with(debugged)
    }

    /// Starts a task off the loop; the result is sent to `tell`. `stack` is the one in `present`.
    pub(crate) fn start(
        &mut self,
        task: ReloadTask,
        stack: &Arc<Stack>,
        present: ReloadBaseline,
        tell: &mpsc::UnboundedSender<ReloadOutcome>,
    ) {
        self.busy = true;
        let (loader, applied) = (self.loader.clone(), self.applied.clone());
        // The supervisor may have finished by then.
        let (stack, tell) = (stack.clone(), tell.clone());
        match task {
            ReloadTask::Read => {
                self.files_changed = false;
                tokio::spawn(async move {
                    let sources = loader.sources.clone();
                    let read = move || config::load(&sources);
                    let Some(read) =
                        stable_read::read_when_stable(present.files.clone(), read).await
                    else {
                        return;
                    };
                    let judge = move || drop(tell.send(loader.evaluate(&present, read)));
                    tokio::task::spawn_blocking(judge);
                });
            }
            ReloadTask::Switch => {
                self.switching = false;
                let make = move || loader.load(&applied, &present.situation);
                let made =
                    move || make().map_or_else(ReloadOutcome::NotSwitched, ReloadOutcome::Switched);
                tokio::task::spawn_blocking(move || drop(tell.send(made())));
            }
            ReloadTask::Place => {
                let lost = std::mem::take(&mut self.lost_ports);
                let shunned = lost.iter().filter_map(|name| self.avoided.get(name));
                let shunned: BTreeSet<u16> = shunned.flatten().copied().collect();
                let place =
                    move || drop(tell.send(loader.reassign(&applied, &stack, &lost, &shunned)));
                tokio::task::spawn_blocking(place);
            }
        }
    }

    /// Previews the current files off the loop; the result is sent to `tell`.
    pub(crate) fn preview(
        &self,
        present: ReloadBaseline,
        tell: impl FnOnce(PreviewResult) + Send + 'static,
    ) {
        let loader = self.loader.clone();
        tokio::task::spawn_blocking(move || tell(loader.preview(&present)));
    }

    /// Notes the end of a task. `draft`: the configuration now applied, if it changed.
    pub(crate) fn finished(&mut self, draft: Option<&Arc<Config>>) {
        self.reassigned = true;
        self.busy = false;
        if let Some(draft) = draft {
            self.applied = draft.clone();
        }
    }

    pub(crate) fn ports(&self) -> MutexGuard<'_, PortAllocator> {
        self.loader.ports()
    }

    /// Once ports were chosen again: releases ports that neither `stack` nor a live process uses.
    /// Called when a run is over, perhaps the last one on such a port. `leaving` is called only if
    /// needed: a stopping stack calls this for each service.
    pub(crate) fn release_unused(&self, stack: &Stack, leaving: impl FnOnce() -> BTreeSet<u16>) {
        // Ports being chosen now are not in the stack yet.
        if !self.reassigned || self.busy {
            return;
        }
        let used = stack.ports().map(|(key, port)| (key, port.clone())).collect();
        self.ports().release_unused(&used, &leaving());
    }
}
