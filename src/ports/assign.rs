use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use tracing::debug;
use xxhash_rust::xxh3::xxh3_64;

use super::choose::{Choice, Chosen, Conflict, Question, choose, key, wanted};
use super::claim::Claim;
use super::lease::LeaseFolder;
use super::market::Market;
use super::remembered::Remembered;
use super::{
    Answer, Dispute, Holder, Key, Lessee, Limits, Obstacle, explain, some_holders_of, system,
};
use crate::model::{AssignedPort, ConflictPolicy, Message, MessageClass, Name, PortRequest};

mod preview;

/// The ports of one stack: chooses them, leases them against other stacks, and remembers them.
/// Dropping it, or the end of the process, releases all leases.
#[derive(Debug)]
pub struct Ports {
    /// The project directory, shown by other stacks.
    folder: PathBuf,
    seed: u64,
    limits: Limits,
    /// `None` if leases do not work here.
    leases: Option<LeaseFolder>,
    remembered: Remembered,
    taken: BTreeMap<u16, Claim>,
    /// Numbers that were given without a claim, because they are in use.
    unclaimed: BTreeMap<Key, u16>,
    given: BTreeMap<Key, AssignedPort>,
    notes: Vec<Message>,
}

/// The input of an assignment.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// All port requests of the stack.
    pub wishes: &'a [PortRequest],
    /// The ports of running services: no conflict for the same request, if it still allows them.
    pub mine: &'a BTreeMap<Key, u16>,
    /// Services that are not about to start. They never displace services that are.
    pub idle: &'a BTreeSet<Name>,
    /// Numbers that a service failed to bind although they looked free.
    pub shunned: &'a BTreeSet<u16>,
    /// Whether nothing is assigned at all if this request cannot be met.
    pub insists: &'a dyn Fn(&PortRequest) -> bool,
}

impl<'a> Asked<'a> {
    /// Creates the input for services that all start.
    pub fn all(wishes: &'a [PortRequest], mine: &'a BTreeMap<Key, u16>) -> Asked<'a> {
        const NOBODY: &BTreeSet<Name> = &BTreeSet::new();
        const NOTHING: &BTreeSet<u16> = &BTreeSet::new();
        Asked { wishes, mine, idle: NOBODY, shunned: NOTHING, insists: &|_| true }
    }

    /// Splits conflicts into those of required requests and the others.
    fn judge<'w>(&self, conflicts: Vec<Conflict<'w>>) -> (Vec<Conflict<'w>>, Vec<Conflict<'w>>) {
        introduced(conflicts).into_iter().partition(|conflict| (self.insists)(conflict.wish))
    }
}

/// The result of an assignment.
#[derive(Debug, Default)]
pub struct Assigned {
    /// A port for each request.
    pub ports: BTreeMap<Key, AssignedPort>,
    /// Why an optional request was not met. Its service must not start with the number it was
    /// given.
    pub refused: BTreeMap<Key, Message>,
}

/// Callers drain the notes after each call.
const MOST_NOTES: usize = 100;

impl Ports {
    /// Opens the ports of the stack in a project directory (absolute). `lease_dir` is shared by all
    /// devstacks of this user and created with mode 0700 if missing; `remembered` is a file in the
    /// state directory, which should exist. Never fails: problems are in [`PortAllocator::notes`].
    pub fn open(lease_dir: &Path, remembered: &Path, folder: &Path) -> Ports {
        let (remembered, trouble) = Remembered::open(remembered);
        let (first, last) = system::ephemeral();
        let mut ports = Ports {
            folder: folder.to_owned(),
            seed: xxh3_64(folder.as_os_str().as_encoded_bytes()),
            limits: Limits::new(first, last),
            leases: None,
            remembered,
            taken: BTreeMap::new(),
            unclaimed: BTreeMap::new(),
            given: BTreeMap::new(),
            notes: Vec::new(),
        };
        if let Some(trouble) = trouble {
            let text = format!("previous port choices were lost: {trouble}");
            ports.note(Message::new(MessageClass::Disk, text));
        }
        match LeaseFolder::open(lease_dir) {
            Ok(leases) => ports.leases = Some(leases),
            Err(error) => ports.note(without_leases(&lease_dir.display().to_string(), &error)),
        }
        ports
    }

    /// Like [`PortAllocator::assign_with_prompt`], if all services start, and without a prompt.
    ///
    /// # Errors
    /// The same.
    pub fn assign(
        &mut self,
        wishes: &[PortRequest],
        mine: &BTreeMap<Key, u16>,
    ) -> Result<BTreeMap<Key, AssignedPort>, Vec<Message>> {
        let asked = Asked::all(wishes, mine);
        self.assign_asking(&asked, &mut |_| Answer::Quit).map(|assigned| assigned.ports)
    }

    /// Chooses ports for all requests of the stack at once. Earlier numbers stay claimed until
    /// [`PortAllocator::release_unused`], because their services may still be running. Policy `ask`
    /// prompts the user, one request at a time, unless another conflict prevents the start anyway.
    ///
    /// # Errors
    /// One message for each required request that cannot be met (class `port`; `denied` for
    /// privileges; `limit` if no port is left or the system cannot tell), with the holder and a
    /// remedy. Nothing has changed then.
    pub fn assign_asking(
        &mut self,
        asked: &Asked<'_>,
        ask: &mut dyn FnMut(&Dispute) -> Answer,
    ) -> Result<Assigned, Vec<Message>> {
        let mut wishes = asked.wishes.to_vec();
        loop {
            let conflicts = match self.choose(&Asked { wishes: &wishes, ..*asked }) {
                Ok(assigned) => return Ok(assigned),
                Err(conflicts) => conflicts,
            };
            let holders = holders_in(&conflicts);
            let refusals =
                || conflicts.iter().map(|found| explain::conflict(found, &holders)).collect();
            let disputes: Option<Vec<Dispute>> =
                conflicts.iter().map(|found| explain::dispute(found, &holders)).collect();
            let Some(dispute) = disputes.as_ref().and_then(|all| all.first()) else {
                return Err(refusals());
            };
            match ask(dispute) {
                Answer::Next => {
                    let agreed = key(conflicts[0].wish);
                    let wish = wishes.iter_mut().find(|wish| key(wish) == agreed);
                    wish.expect("the conflict is about one of them").on_conflict =
                        ConflictPolicy::Next;
                }
                Answer::Again => {}
                Answer::Quit => return Err(refusals()),
            }
        }
    }

    /// Chooses once and commits the result, unless required requests have conflicts; returns those.
    fn choose<'w>(&mut self, asked: &Asked<'w>) -> Result<Assigned, Vec<Conflict<'w>>> {
        let mut market = Market {
            folder: &self.folder,
            leases: self.leases.as_ref(),
            remembered: &self.remembered,
            taken: &self.taken,
            shunned: asked.shunned,
            claimed: BTreeMap::new(),
            trouble: None,
        };
        let question = self.question(asked);
        let Chosen { choices, conflicts } = choose(&question, &mut market);
        let (insisting, conflicts) = asked.judge(conflicts);
        if !insisting.is_empty() {
            return Err(insisting);
        }
        let ours = choices.values().filter(|choice| choice.claimed);
        let numbers: BTreeSet<u16> = ours.map(|choice| choice.number).collect();
        numbers.iter().for_each(|number| market.adopt(*number));
        let Market { claimed, trouble, .. } = market;
        self.taken.extend(claimed.into_iter().filter(|(number, _)| numbers.contains(number)));
        let unclaimed = choices.iter().filter(|(_, choice)| !choice.claimed);
        self.unclaimed = unclaimed.map(|(key, choice)| (key.clone(), choice.number)).collect();
        self.leave_unheld(&choices);
        if let Some(error) = trouble {
            self.note(without_leases("a lock file", &error));
        }
        let given = self.describe(&choices);
        self.remark(&given);
        self.remember(&given);
        self.given.clone_from(&given);
        let holders = holders_in(&conflicts);
        let refused =
            |conflict: &Conflict<'_>| (key(conflict.wish), explain::refusal(conflict, &holders));
        Ok(Assigned { ports: given, refused: conflicts.iter().map(refused).collect() })
    }

    /// Reassigns ports of services that lost one. Services in `others` are served after them.
    /// Requests that cannot be met are among the refused ones.
    pub fn place(
        &mut self,
        wishes: &[PortRequest],
        mine: &BTreeMap<Key, u16>,
        others: &BTreeSet<Name>,
        shunned: &BTreeSet<u16>,
    ) -> Assigned {
        let asked = Asked { wishes, mine, idle: others, shunned, insists: &|_| false };
        self.choose(&asked).expect("only required requests fail the choice")
    }

    fn question<'q, 'w>(&'q self, asked: &Asked<'w>) -> Question<'q, 'w>
    where
        'w: 'q,
    {
        Question {
            wishes: asked.wishes,
            mine: asked.mine,
            idle: asked.idle,
            before: &self.given,
            limits: &self.limits,
            seed: self.seed,
        }
    }

    /// Whether this port was given `number` although another process has it. It must then be chosen
    /// again before its service starts.
    pub fn is_unclaimed(&self, key: &Key, number: u16) -> bool {
        self.unclaimed.get(key) == Some(&number)
    }

    /// Drops the holds on the service's ports until the next choice. False if there were none.
    pub fn let_go(&mut self, service: &Name) -> bool {
        let given = self.given.iter().filter(|((name, _), _)| name == service);
        let mut held = false;
        for port in given.map(|(_, port)| port.number) {
            held |= self.taken.get_mut(&port).is_some_and(|claim| claim.hold.take().is_some());
        }
        held
    }

    /// Drops the holds now and for later starts, for a program that cannot bind a held port. False
    /// if there were none, so that they cannot be the reason.
    pub fn unhold(&mut self, service: &Name) -> bool {
        let given = self.given.iter().filter(|((name, _), _)| name == service);
        let keys: Vec<Key> = given.map(|(key, _)| key.clone()).collect();
        let held = self.let_go(service);
        for key in keys.into_iter().filter(|_| held) {
            if let Err(error) = self.remembered.unhold(&key) {
                self.note(not_remembered(&error));
            }
        }
        held
    }

    fn leave_unheld(&mut self, choices: &BTreeMap<Key, Choice>) {
        for (key, choice) in choices.iter().filter(|(key, _)| self.remembered.is_unheld(key)) {
            if let Some(claim) = self.taken.get_mut(&choice.number) {
                debug!("{}/{} is not held", key.0, key.1);
                claim.hold = None;
            }
        }
    }

    /// Releases all numbers that are neither in `still` (the ports the services keep) nor in
    /// `leaving` (still used by exiting processes).
    pub fn release_unused(&mut self, still: &BTreeMap<Key, AssignedPort>, leaving: &BTreeSet<u16>) {
        let used: BTreeSet<u16> = still.values().map(|port| port.number).collect();
        self.taken.retain(|number, _| used.contains(number) || leaving.contains(number));
        self.unclaimed
            .retain(|key, number| still.get(key).is_some_and(|port| port.number == *number));
        self.given.clone_from(still);
    }

    /// Returns and clears the notes since the last call.
    pub fn notes(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.notes)
    }

    fn describe(&self, choices: &BTreeMap<Key, Choice>) -> BTreeMap<Key, AssignedPort> {
        let obstacles =
            choices.values().filter_map(|choice| Some((choice.wanted?, choice.obstacle.as_ref()?)));
        let holders = name(obstacles);
        let describe = |(key, choice): (&Key, &Choice)| {
            let moved = self.why_moved(key, choice, &holders);
            let Choice { number, wanted, pinned, .. } = *choice;
            (key.clone(), AssignedPort { name: key.1.clone(), number, wanted, pinned, moved })
        };
        choices.iter().map(describe).collect()
    }

    fn why_moved(
        &self,
        key: &Key,
        choice: &Choice,
        holders: &BTreeMap<u16, Vec<Holder>>,
    ) -> Option<String> {
        let wanted = choice.wanted.filter(|wanted| *wanted != choice.number)?;
        if let Some(obstacle) = &choice.obstacle {
            let holders = holders.get(&wanted).map(Vec::as_slice).unwrap_or_default();
            let obstacle = introduce(wanted, obstacle.clone());
            return Some(explain::obstacle(wanted, &obstacle, holders));
        }
        let before = self.given.get(key).filter(|before| before.number == choice.number);
        before.and_then(|before| before.moved.clone())
    }

    fn remark(&mut self, given: &BTreeMap<Key, AssignedPort>) {
        for (key, port) in given {
            if self.given.get(key).is_none_or(|before| before.number != port.number)
                && let Some(remark) = explain::remark(key, port.number)
            {
                self.note(remark);
            }
        }
    }

    fn remember(&mut self, given: &BTreeMap<Key, AssignedPort>) {
        let ports = given.iter().map(|(key, port)| (key, port.wanted, port.number));
        if let Err(error) = self.remembered.keep(ports) {
            self.note(not_remembered(&error));
        }
    }

    fn note(&mut self, note: Message) {
        debug!("{note}");
        if self.notes.len() < MOST_NOTES && !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}

fn not_remembered(error: &io::Error) -> Message {
    Message::new(MessageClass::Disk, format!("cannot save ports for the next start: {error}"))
}

fn introduced(mut conflicts: Vec<Conflict<'_>>) -> Vec<Conflict<'_>> {
    for found in &mut conflicts {
        if let Some(number) = wanted(found.wish) {
            let obstacle = std::mem::replace(&mut found.obstacle, Obstacle::InUse);
            found.obstacle = introduce(number, obstacle);
        }
    }
    conflicts
}

/// Looks up the owner of a lease that is not from this user's lease directory.
fn introduce(number: u16, obstacle: Obstacle) -> Obstacle {
    match obstacle {
        Obstacle::Leased(lessee) if lessee == Lessee::default() => {
            Obstacle::Leased(system::announcer(number).unwrap_or(lessee))
        }
        other => other,
    }
}

fn holders_in(conflicts: &[Conflict<'_>]) -> BTreeMap<u16, Vec<Holder>> {
    name(conflicts.iter().filter_map(|found| Some((wanted(found.wish)?, &found.obstacle))))
}

/// Finds the holders of all numbers in use, in one scan over the processes.
fn name<'a>(obstacles: impl Iterator<Item = (u16, &'a Obstacle)>) -> BTreeMap<u16, Vec<Holder>> {
    let in_use = obstacles.filter(|(_, obstacle)| **obstacle == Obstacle::InUse);
    some_holders_of(&in_use.map(|(number, _)| number).collect())
}

fn without_leases(what: &str, error: &io::Error) -> Message {
    let text = format!("cannot reserve ports against other stacks: cannot use {what}: {error}");
    Message::new(MessageClass::Disk, text).help("start stacks one at a time until this is fixed")
}

#[cfg(test)]
mod crowd;
#[cfg(test)]
mod tests;
