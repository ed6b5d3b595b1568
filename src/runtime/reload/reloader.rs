use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, MutexGuard};

use tokio::sync::mpsc;

use super::{Loader, Present, Previewed, Reloaded};
use crate::config::{self, Config, DebugServices};
use crate::model::{ConflictPolicy, Name, PortRequest, PortWeight, Service, Stack};
use crate::ports::PortAllocator;
use crate::runtime::steady;

/// Work done off the loop.
pub(in crate::runtime) enum Task {
    /// Reread the files.
    Read,
    /// Change which services are in debug mode.
    Switch,
    /// Choose other ports for services that lost one.
    Place,
}

/// Reloads the configuration, changes modes, and reassigns lost ports. Does one thing at a time:
/// what comes in meanwhile is done afterwards.
pub struct Reloader {
    loader: Loader,
    /// The last applied configuration: the files may be in the middle of an edit.
    applied: Arc<Config>,
    busy: bool,
    /// The files have changed since they were last read.
    stale: bool,
    switching: bool,
    lost: BTreeSet<Name>,
    /// Ports that services could not bind although nothing is listening there, since they were last
    /// ready.
    shunned: BTreeMap<Name, BTreeSet<u16>>,
    /// Whether ports were chosen again; before that, every port is in use.
    moved: bool,
    /// Whether the files are watched at all.
    pub(in crate::runtime) follows: bool,
}

impl Reloader {
    /// Creates an idle reloader. `applied`: the configuration of the first stack. `follows`:
    /// whether changes of files are reported.
    pub fn new(loader: Loader, applied: Arc<Config>, follows: bool) -> Reloader {
        let (busy, stale, switching, moved) = (false, false, false, false);
        let (lost, shunned) = (BTreeSet::new(), BTreeMap::new());
        Reloader { loader, applied, busy, stale, switching, lost, shunned, moved, follows }
    }

    pub(in crate::runtime) fn reload(&mut self) {
        self.stale = true;
    }

    pub(in crate::runtime) fn switch(&mut self) {
        self.switching = true;
    }

    pub(in crate::runtime) fn place(&mut self, name: Name) {
        self.lost.insert(name);
    }

    /// Notes that a service cannot bind its own `port` although nothing is listening there. Returns
    /// whether it may have another one; this one is then avoided until the service is ready.
    pub(in crate::runtime) fn shun(&mut self, service: &Service, port: u16) -> bool {
        let named = service.ports.iter().find(|one| one.number == port).map(|one| &one.name);
        let wishes = self.applied.port_requests_with(&DebugServices::from([service.name.clone()]));
        let wish =
            wishes.iter().find(|wish| wish.service == service.name && Some(&wish.port) == named);
        let moves = wish.is_some_and(|wish| match (wish.weight, wish.on_conflict) {
            (PortWeight::Any, _)
            | (PortWeight::Preferred, ConflictPolicy::Next | ConflictPolicy::Auto) => true,
            (
                PortWeight::Preferred,
                ConflictPolicy::Fail | ConflictPolicy::Ask | ConflictPolicy::Strict,
            ) => false,
            (PortWeight::Pinned, _) => false,
        });
        if moves {
            self.shunned.entry(service.name.clone()).or_default().insert(port);
        }
        moves
    }

    /// Clears the avoided ports of a ready service: they may be free again.
    pub(in crate::runtime) fn forgive(&mut self, name: &Name) {
        self.shunned.remove(name);
    }

    /// Returns the task to start now, if any.
    pub(in crate::runtime) fn due(&self) -> Option<Task> {
        match (self.busy, self.stale, self.switching) {
            (true, _, _) => None,
            // The files first: they may bring other ports.
            (false, true, _) => Some(Task::Read),
            (false, false, true) => Some(Task::Switch),
            (false, false, false) => (!self.lost.is_empty()).then_some(Task::Place),
        }
    }

    /// The last applied configuration.
    pub(in crate::runtime) fn applied(&self) -> Arc<Config> {
        self.applied.clone()
    }

    /// The port requests of the last applied configuration, with these services in debug mode.
    pub(in crate::runtime) fn known(&self, debugged: &DebugServices) -> Vec<PortRequest> {
        self.applied.port_requests_with(debugged)
    }

    /// Starts a task off the loop; the result is sent to `tell`. `stack` is the one in `present`.
    pub(in crate::runtime) fn begin(
        &mut self,
        task: Task,
        stack: &Arc<Stack>,
        present: Present,
        tell: &mpsc::UnboundedSender<Reloaded>,
    ) {
        self.busy = true;
        let (loader, applied) = (self.loader.clone(), self.applied.clone());
        // The supervisor may have finished by then.
        let (stack, tell) = (stack.clone(), tell.clone());
        match task {
            Task::Read => {
                self.stale = false;
                tokio::spawn(async move {
                    let sources = loader.sources.clone();
                    let read = move || config::load(&sources);
                    let Some(read) = steady::read(present.files.clone(), read).await else {
                        return;
                    };
                    let judge = move || drop(tell.send(loader.judge(&present, read)));
                    tokio::task::spawn_blocking(judge);
                });
            }
            Task::Switch => {
                self.switching = false;
                let make = move || loader.make(&applied, &present.situation);
                let made = move || make().map_or_else(Reloaded::NotSwitched, Reloaded::Switched);
                tokio::task::spawn_blocking(move || drop(tell.send(made())));
            }
            Task::Place => {
                let lost = std::mem::take(&mut self.lost);
                let shunned = lost.iter().filter_map(|name| self.shunned.get(name));
                let shunned: BTreeSet<u16> = shunned.flatten().copied().collect();
                let place =
                    move || drop(tell.send(loader.place(&applied, &stack, &lost, &shunned)));
                tokio::task::spawn_blocking(place);
            }
        }
    }

    /// Previews the current files off the loop; the result is sent to `tell`.
    pub(in crate::runtime) fn preview(
        &self,
        present: Present,
        tell: impl FnOnce(Previewed) + Send + 'static,
    ) {
        let loader = self.loader.clone();
        tokio::task::spawn_blocking(move || tell(loader.preview(&present)));
    }

    /// Notes the end of a task. `draft`: the configuration now applied, if it changed.
    pub(in crate::runtime) fn finished(&mut self, draft: Option<&Arc<Config>>) {
        self.moved = true;
        self.busy = false;
        if let Some(draft) = draft {
            self.applied = draft.clone();
        }
    }

    pub(in crate::runtime) fn ports(&self) -> MutexGuard<'_, PortAllocator> {
        self.loader.ports()
    }

    /// Once ports were chosen again: releases ports that neither `stack` nor a live process uses.
    /// Called when a run is over, perhaps the last one on such a port. `leaving` is called only if
    /// needed: a stopping stack calls this for each service.
    pub(in crate::runtime) fn release_unused(
        &self,
        stack: &Stack,
        leaving: impl FnOnce() -> BTreeSet<u16>,
    ) {
        // Ports being chosen now are not in the stack yet.
        if !self.moved || self.busy {
            return;
        }
        let used = stack.services.iter().flat_map(|(name, service)| {
            service.ports.iter().map(|port| ((name.clone(), port.name.clone()), port.clone()))
        });
        self.ports().release_unused(&used.collect(), &leaving());
    }
}
