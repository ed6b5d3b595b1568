//! Lost races: who listens on a port that a service of this stack was given.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Supervisor;
use crate::engine::{Effect, Excuse, Input};
use crate::model::{Class, Event, Happening, Message, Phase, Run, Service};
use crate::ports::{self, Holder, Key, Listener, Owner};
use crate::runtime::{in_use, remark};

/// So many of the last lines of a run are searched for an address that was in use: a traceback has this many.
const SEARCHED: usize = 100;

impl Supervisor {
    /// Takes the spawns out of `effects` that would meet somebody else on a port of theirs, and what is told of them.
    /// One look at all listeners serves all of them.
    pub(super) fn intercept(&self, effects: &mut Vec<Effect>) -> Vec<Input> {
        let robbed = self.robbed(effects);
        if robbed.is_empty() {
            return Vec::new();
        }
        effects.retain(|effect| match effect {
            Effect::Spawn(run, _) => !robbed.contains_key(run),
            Effect::Tell(event) => match event.what {
                Happening::Phase { to: Phase::Starting, run: Some(run), .. } => {
                    !robbed.contains_key(&run)
                }
                _ => true,
            },
            _ => true,
        });
        robbed.into_iter().map(|(run, message)| Input::Robbed(run, message)).collect()
    }

    fn robbed(&self, effects: &[Effect]) -> BTreeMap<Run, Message> {
        let spawns: Vec<(Run, &Arc<Service>)> = effects.iter().filter_map(spawned).collect();
        if spawns.is_empty() {
            return BTreeMap::new();
        }
        let numbers = spawns.iter().flat_map(|(_, service)| numbers(service)).collect();
        // Elsewhere than on this machine's own addresses a listener is in few services' way: those will say so.
        let holders = holders(&numbers, Listener::is_local);
        let ports = self.reloader.ports();
        let mut robbed = BTreeMap::new();
        for (run, service) in spawns {
            let unclaimed = service.ports.iter().find(|port| {
                let key: Key = (service.name.clone(), port.name.clone());
                ports.is_unclaimed(&key, port.number)
            });
            let thief = thief(service, &holders, |holder| {
                // Its own container may outlive the program that started it.
                self.engine.is_first(run) || !holder.may_stand_in()
            });
            let why = thief.or_else(|| {
                let number = unclaimed?.number;
                let text = format!("port {number} could not be had before; asking for it again");
                Some(Message::new(Class::Port, text))
            });
            robbed.extend(why.map(|why| (run, why)));
        }
        robbed
    }

    /// Why a run that ended before it was ready is not to blame, if so. Nothing of it is left.
    pub(super) fn examine(&mut self, run: Run, service: &Service) -> Input {
        Input::Examined(run, self.excuse(service))
    }

    fn excuse(&mut self, service: &Service) -> Excuse {
        let name = &service.name;
        let lines = self.logs.tail(name, SEARCHED);
        let blamed: Vec<&String> = lines.iter().filter(|line| in_use::is_said(line)).collect();
        let holders = holders(&numbers(service), |_| true);
        // A program that the system does not name is believed to be a thief by two witnesses only.
        let certain = |holder: &Holder| !blamed.is_empty() || !holder.may_stand_in();
        if let Some(message) = thief(service, &holders, certain) {
            return Excuse::Robbed(message);
        }
        if holders.values().flatten().any(|holder| !holder.is_devstack()) {
            return Excuse::None;
        }
        if blamed.is_empty() {
            // Should it have been the hold, the next start will do.
            self.reloader.ports().let_go(name);
            return Excuse::None;
        }
        if let Some(number) = opened_twice(service, &blamed) {
            self.tell(Event {
                service: Some(name.clone()),
                what: Happening::Note(remark::opened_twice(number)),
            });
            return Excuse::None;
        }
        if self.reloader.ports().unhold(name) {
            let text = "its port was reserved in a way that it does not take, and is no longer";
            return Excuse::Unheld(Message::new(Class::Port, text));
        }
        // Somebody who is gone already, or closed connections that linger, which a program without `SO_REUSEADDR`
        // cannot bear. Where the port may not move, time may help. Many programs do not say which port it was.
        let named = |number: &u16| blamed.iter().any(|line| in_use::names(line, *number));
        let numbers = numbers(service);
        let meant = numbers.iter().find(|number| named(number));
        match meant.or_else(|| numbers.iter().find(|number| ports::lingers(**number))).copied() {
            Some(number) if self.reloader.shun(service, number) => {
                let text = format!("port {number} was in use, though nobody listens there");
                Excuse::Robbed(Message::new(Class::Port, text))
            }
            Some(_) | None => Excuse::None,
        }
    }

    /// Who listens on a port of a run that is not ready, in its place.
    pub(super) fn thief(&self, run: Run, port: u16) -> Option<Message> {
        let service = self.engine.launched(run)?;
        if !numbers(service).contains(&port) {
            return None;
        }
        match ports::listener_owner(port, &self.hands.tree(run)) {
            Owner::Foreign(holder) | Owner::Shared(_, holder) => {
                let certain = !holder.may_stand_in() && !holder.is_devstack();
                certain.then(|| Message::new(Class::Port, ports::taken(port, &[holder])))
            }
            Owner::Owned(_) | Owner::Nobody | Owner::Unknown => None,
        }
    }
}

fn spawned(effect: &Effect) -> Option<(Run, &Arc<Service>)> {
    match effect {
        Effect::Spawn(run, service) if !service.ports.is_empty() => Some((*run, service)),
        _ => None,
    }
}

/// A port that is open to be passed to the service, when that is what its program ran into.
fn opened_twice(service: &Service, blamed: &[&String]) -> Option<u16> {
    let named = |number: u16| blamed.iter().any(|line| in_use::names(line, number));
    let passed: Vec<u16> = service.passed_ports().map(|port| port.number).collect();
    let all = passed.len() == service.ports.len();
    let unnamed = all && !passed.iter().any(|number| named(*number));
    passed.into_iter().find(|number| unnamed || named(*number))
}

fn numbers(service: &Service) -> BTreeSet<u16> {
    service.ports.iter().map(|port| port.number).collect()
}

/// Who listens on these ports, in a way that counts. Names are looked up only when somebody does.
fn holders(
    numbers: &BTreeSet<u16>,
    counts: impl Fn(&Listener) -> bool,
) -> BTreeMap<u16, Vec<Holder>> {
    let listening = ports::listeners().into_iter().filter(counts);
    let listening = listening.map(|listener| listener.address.port());
    ports::holders_of(&listening.filter(|port| numbers.contains(port)).collect())
}

/// The first port of the service that somebody has who counts.
fn thief(
    service: &Service,
    holders: &BTreeMap<u16, Vec<Holder>>,
    counts: impl Fn(&Holder) -> bool,
) -> Option<Message> {
    service.ports.iter().find_map(|port| {
        let holders = holders.get(&port.number)?;
        let thieves = holders.iter().filter(|holder| !holder.is_devstack() && counts(holder));
        let thieves: Vec<Holder> = thieves.cloned().collect();
        let taken = || Message::new(Class::Port, ports::taken(port.number, &thieves));
        (!thieves.is_empty()).then(taken)
    })
}
