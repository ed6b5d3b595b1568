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
use crate::model::{Class, Message, Name, OnConflict, Port, PortWish};

mod preview;

/// The ports of one stack: chooses them, keeps them from other stacks, remembers them. Lives as long as the stack;
/// dropping it (or dying) gives all leases back.
#[derive(Debug)]
pub struct Ports {
    /// The stack's folder, for the messages of other stacks.
    folder: PathBuf,
    seed: u64,
    limits: Limits,
    /// `None`: leases do not work here.
    leases: Option<LeaseFolder>,
    remembered: Remembered,
    /// What this stack took.
    taken: BTreeMap<u16, Claim>,
    /// Numbers that were given without being taken, because somebody has them.
    unclaimed: BTreeMap<Key, u16>,
    /// What `assign` gave last.
    given: BTreeMap<Key, Port>,
    notes: Vec<Message>,
}

/// What is to be chosen.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// All wishes of the stack.
    pub wishes: &'a [PortWish],
    /// What its services hold and keep: no conflict for the same port, as far as the wish still allows it.
    pub mine: &'a BTreeMap<Key, u16>,
    /// Services that do not start now: they take nothing from those that do.
    pub idle: &'a BTreeSet<Name>,
    /// Numbers that somebody could not bind, although they seem to be free.
    pub shunned: &'a BTreeSet<u16>,
    /// Whether nothing is chosen at all when this wish cannot be granted.
    pub insists: &'a dyn Fn(&PortWish) -> bool,
}

impl<'a> Asked<'a> {
    /// For services that all start.
    pub fn all(wishes: &'a [PortWish], mine: &'a BTreeMap<Key, u16>) -> Asked<'a> {
        const NOBODY: &BTreeSet<Name> = &BTreeSet::new();
        const NOTHING: &BTreeSet<u16> = &BTreeSet::new();
        Asked { wishes, mine, idle: NOBODY, shunned: NOTHING, insists: &|_| true }
    }

    /// The conflicts that insist, and the others.
    fn judge<'w>(&self, conflicts: Vec<Conflict<'w>>) -> (Vec<Conflict<'w>>, Vec<Conflict<'w>>) {
        introduced(conflicts).into_iter().partition(|conflict| (self.insists)(conflict.wish))
    }
}

/// What was chosen.
#[derive(Debug, Default)]
pub struct Assigned {
    /// A port for each wish.
    pub ports: BTreeMap<Key, Port>,
    /// Why a wish could not be granted that did not insist: its service must not start with the number it was given.
    pub refused: BTreeMap<Key, Message>,
}

/// So many notes wait at most; they are taken after each call, and a handful is usual.
const MOST_NOTES: usize = 100;

impl Ports {
    /// The ports of the stack in `folder` (absolute). `lease_dir` is shared by every devstack of this user and made with mode
    /// 0700 when missing; `remembered` is a file in the stack's own state folder, which should exist. Never fails: what does
    /// not work is left out and said in [`Ports::notes`].
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
            let text = format!("earlier ports are forgotten: {trouble}");
            ports.note(Message::new(Class::Disk, text));
        }
        match LeaseFolder::open(lease_dir) {
            Ok(leases) => ports.leases = Some(leases),
            Err(error) => ports.note(without_leases(&lease_dir.display().to_string(), &error)),
        }
        ports
    }

    /// [`Ports::assign_asking`] for services that all start, and without asking.
    ///
    /// # Errors
    /// As there.
    pub fn assign(
        &mut self,
        wishes: &[PortWish],
        mine: &BTreeMap<Key, u16>,
    ) -> Result<BTreeMap<Key, Port>, Vec<Message>> {
        let asked = Asked::all(wishes, mine);
        self.assign_asking(&asked, &mut |_| Answer::Quit).map(|assigned| assigned.ports)
    }

    /// Chooses for all wishes of the stack at once. Numbers given earlier stay taken until
    /// [`Ports::release_unused`], because their services may still be running. Where a wish says so, it asks before it
    /// gives up: one question for each wish, then again as long as the answer is to look again. Nothing is asked when
    /// something else keeps the stack from starting.
    ///
    /// # Errors
    /// One message for each wish that insists and cannot be granted (class `port`; `denied` for privileges; `limit` when
    /// nothing is left or can be found out), naming the holder and what to type next. Then nothing changed.
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
                    wish.expect("the conflict is about one of them").on_conflict = OnConflict::Next;
                }
                Answer::Again => {}
                Answer::Quit => return Err(refusals()),
            }
        }
    }

    /// One choice for all wishes, and what follows from it when it can be made. The conflicts are those that insist.
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

    /// [`Ports::assign_asking`] for services that lost a port: those in `others` come after them, and whatever cannot be had is
    /// among the refused.
    pub fn place(
        &mut self,
        wishes: &[PortWish],
        mine: &BTreeMap<Key, u16>,
        others: &BTreeSet<Name>,
        shunned: &BTreeSet<u16>,
    ) -> Assigned {
        let asked = Asked { wishes, mine, idle: others, shunned, insists: &|_| false };
        self.choose(&asked).expect("only a wish that insists refuses the choice")
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

    /// Whether `number` was given for this port although somebody else had it, so that it has to be chosen again
    /// before anybody starts there.
    pub fn is_unclaimed(&self, key: &Key, number: u16) -> bool {
        self.unclaimed.get(key) == Some(&number)
    }

    /// Stops holding the numbers of its ports, this time. False: none was held.
    pub fn let_go(&mut self, service: &Name) -> bool {
        let given = self.given.iter().filter(|((name, _), _)| name == service);
        let mut held = false;
        for port in given.map(|(_, port)| port.number) {
            held |= self.taken.get_mut(&port).is_some_and(|claim| claim.hold.take().is_some());
        }
        held
    }

    /// Lets a program bind the numbers of its ports that cannot do so while they are held, from now on and at later
    /// starts. False: none of them was held, so that it was not that.
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

    /// Gives back every number that is neither in `still`, which says what the stack's services have from now on, nor
    /// among those that processes are `leaving`.
    pub fn release_unused(&mut self, still: &BTreeMap<Key, Port>, leaving: &BTreeSet<u16>) {
        let used: BTreeSet<u16> = still.values().map(|port| port.number).collect();
        self.taken.retain(|number, _| used.contains(number) || leaving.contains(number));
        self.unclaimed
            .retain(|key, number| still.get(key).is_some_and(|port| port.number == *number));
        self.given.clone_from(still);
    }

    /// What people should know about ports since the last call; empties the list.
    pub fn notes(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.notes)
    }

    fn describe(&self, choices: &BTreeMap<Key, Choice>) -> BTreeMap<Key, Port> {
        let obstacles =
            choices.values().filter_map(|choice| Some((choice.wanted?, choice.obstacle.as_ref()?)));
        let holders = name(obstacles);
        let describe = |(key, choice): (&Key, &Choice)| {
            let moved = self.why_moved(key, choice, &holders);
            let Choice { number, wanted, pinned, .. } = *choice;
            (key.clone(), Port { name: key.1.clone(), number, wanted, pinned, moved })
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

    fn remark(&mut self, given: &BTreeMap<Key, Port>) {
        for (key, port) in given {
            if self.given.get(key).is_none_or(|before| before.number != port.number)
                && let Some(remark) = explain::remark(key, port.number)
            {
                self.note(remark);
            }
        }
    }

    fn remember(&mut self, given: &BTreeMap<Key, Port>) {
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
    Message::new(Class::Disk, format!("ports cannot be remembered for the next start: {error}"))
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

/// Finds out more about who leased a number, when it is not a stack that shares the lease folder.
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

/// Who holds the numbers that are in use, in one walk over the processes.
fn name<'a>(obstacles: impl Iterator<Item = (u16, &'a Obstacle)>) -> BTreeMap<u16, Vec<Holder>> {
    let in_use = obstacles.filter(|(_, obstacle)| **obstacle == Obstacle::InUse);
    some_holders_of(&in_use.map(|(number, _)| number).collect())
}

fn without_leases(what: &str, error: &io::Error) -> Message {
    let text = format!("ports are not kept from other stacks: {what} cannot be used: {error}");
    Message::new(Class::Disk, text).help("start stacks one after another until that is repaired")
}

#[cfg(test)]
mod crowd;
#[cfg(test)]
mod tests;
