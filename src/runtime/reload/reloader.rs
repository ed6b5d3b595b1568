use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, MutexGuard};

use tokio::sync::mpsc;

use super::{Loader, Present, Previewed, Reloaded};
use crate::config::{self, Debugged, Draft};
use crate::model::{Name, OnConflict, PortWish, Service, Stack, Weight};
use crate::ports::Ports;
use crate::runtime::steady;

/// Something that is done off the loop.
pub(in crate::runtime) enum Task {
    /// Read the files again.
    Read,
    /// Put other services into debug mode.
    Switch,
    /// Choose ports again for services that lost one.
    Place,
}

/// Follows the configuration, makes stacks in which other services are in debug mode, and chooses ports again for
/// services that lost one. One thing at a time: what comes meanwhile is done after it.
pub struct Reloader {
    loader: Loader,
    /// What was applied last: the files may be in the middle of an edit.
    applied: Arc<Draft>,
    busy: bool,
    /// The files have changed since they were last read.
    stale: bool,
    /// Other services are to be in debug mode.
    switching: bool,
    /// Services that need other ports.
    lost: BTreeSet<Name>,
    /// Numbers that services could not bind although nobody listens there, since they were ready last.
    shunned: BTreeMap<Name, BTreeSet<u16>>,
    /// Whether ports were chosen again: before that, every one is in use.
    moved: bool,
    /// Whether the files are followed at all.
    pub(in crate::runtime) follows: bool,
}

impl Reloader {
    /// Nothing to do yet; `applied` is what the first stack was made of. `follows`: whether anybody tells of changes.
    pub fn new(loader: Loader, applied: Arc<Draft>, follows: bool) -> Reloader {
        let (busy, stale, switching, moved) = (false, false, false, false);
        let (lost, shunned) = (BTreeSet::new(), BTreeMap::new());
        Reloader { loader, applied, busy, stale, switching, lost, shunned, moved, follows }
    }

    /// The files have changed.
    pub(in crate::runtime) fn reload(&mut self) {
        self.stale = true;
    }

    /// Other services are to be in debug mode.
    pub(in crate::runtime) fn switch(&mut self) {
        self.switching = true;
    }

    /// A service needs other ports.
    pub(in crate::runtime) fn place(&mut self, name: Name) {
        self.lost.insert(name);
    }

    /// A service cannot bind `port`, which it has, although nobody listens there. Whether it may have another one;
    /// then this is not chosen again for it until it is ready.
    pub(in crate::runtime) fn shun(&mut self, service: &Service, port: u16) -> bool {
        let named = service.ports.iter().find(|one| one.number == port).map(|one| &one.name);
        let wishes = self.applied.wishes_with(&Debugged::from([service.name.clone()]));
        let wish =
            wishes.iter().find(|wish| wish.service == service.name && Some(&wish.port) == named);
        let moves = wish.is_some_and(|wish| match (wish.weight, wish.on_conflict) {
            (Weight::Any, _) | (Weight::Preferred, OnConflict::Next | OnConflict::Auto) => true,
            (Weight::Preferred, OnConflict::Fail | OnConflict::Ask | OnConflict::Strict) => false,
            (Weight::Pinned, _) => false,
        });
        if moves {
            self.shunned.entry(service.name.clone()).or_default().insert(port);
        }
        moves
    }

    /// A service is ready: what it could not bind before may be free again.
    pub(in crate::runtime) fn forgive(&mut self, name: &Name) {
        self.shunned.remove(name);
    }

    /// What is to be begun now, if anything is.
    pub(in crate::runtime) fn due(&self) -> Option<Task> {
        match (self.busy, self.stale, self.switching) {
            (true, _, _) => None,
            // The files first: they may have brought other ports.
            (false, true, _) => Some(Task::Read),
            (false, false, true) => Some(Task::Switch),
            (false, false, false) => (!self.lost.is_empty()).then_some(Task::Place),
        }
    }

    /// What was applied last.
    pub(in crate::runtime) fn applied(&self) -> Arc<Draft> {
        self.applied.clone()
    }

    /// The wishes of what was applied last, with these services in debug mode.
    pub(in crate::runtime) fn known(&self, debugged: &Debugged) -> Vec<PortWish> {
        self.applied.wishes_with(debugged)
    }

    /// Begins what is due, off the loop; the result comes through `tell`. `stack`: the one that `present` is about.
    pub(in crate::runtime) fn begin(
        &mut self,
        task: Task,
        stack: &Arc<Stack>,
        present: Present,
        tell: &mpsc::UnboundedSender<Reloaded>,
    ) {
        self.busy = true;
        let (loader, applied) = (self.loader.clone(), self.applied.clone());
        // The supervisor may have ended when it is done.
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

    /// Looks at the files off the loop; `tell` gets what they would make.
    pub(in crate::runtime) fn preview(
        &self,
        present: Present,
        tell: impl FnOnce(Previewed) + Send + 'static,
    ) {
        let loader = self.loader.clone();
        tokio::task::spawn_blocking(move || tell(loader.preview(&present)));
    }

    /// What was begun is over. `draft`: it was read and is applied.
    pub(in crate::runtime) fn finished(&mut self, draft: Option<&Arc<Draft>>) {
        self.moved = true;
        self.busy = false;
        if let Some(draft) = draft {
            self.applied = draft.clone();
        }
    }

    /// The ports of this stack.
    pub(in crate::runtime) fn ports(&self) -> MutexGuard<'_, Ports> {
        self.loader.ports()
    }

    /// Gives back ports that neither `stack` nor a process that still lives uses, once ports were chosen again: called
    /// when a run is over, which may have been the last one on such a port. `leaving` is asked only then: a stack that
    /// stops calls this for each of its services.
    pub(in crate::runtime) fn release_unused(
        &self,
        stack: &Stack,
        leaving: impl FnOnce() -> BTreeSet<u16>,
    ) {
        // What is being chosen now is not in the stack yet.
        if !self.moved || self.busy {
            return;
        }
        let used = stack.services.iter().flat_map(|(name, service)| {
            service.ports.iter().map(|port| ((name.clone(), port.name.clone()), port.clone()))
        });
        self.ports().release_unused(&used.collect(), &leaving());
    }
}
