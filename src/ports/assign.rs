use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use tracing::debug;
use xxhash_rust::xxh3::xxh3_64;

use super::choose::{Choice, Conflict, Question, choose, key, wanted};
use super::lease::{Lease, LeaseFolder};
use super::market::Market;
use super::remembered::Remembered;
use super::{Answer, Dispute, Holder, Key, Lessee, Limits, Obstacle, explain, holders_of, system};
use crate::model::{Class, Message, OnConflict, Port, PortWish};

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
    /// What this stack took; `None`: without a lease, because leases do not work here.
    taken: BTreeMap<u16, Option<Lease>>,
    /// What `assign` gave last.
    given: BTreeMap<Key, Port>,
    notes: Vec<Message>,
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

    /// Chooses for all wishes of the stack at once. `mine` says what its running services hold now: that is kept for the same
    /// port where the wish still allows it, and is no conflict for it. Numbers given earlier stay taken until
    /// [`Ports::release_unused`], because their services may still be running.
    ///
    /// `Err`: one message for each wish that cannot be granted (class `port`; `denied` for privileges; `limit` when nothing is
    /// left or can be found out), naming the holder and what to type next. Then nothing changed.
    pub fn assign(
        &mut self,
        wishes: &[PortWish],
        mine: &BTreeMap<Key, u16>,
    ) -> Result<BTreeMap<Key, Port>, Vec<Message>> {
        self.assign_asking(wishes, mine, &mut |_| Answer::Quit)
    }

    /// The same, but where a wish says so, asks before it gives up: one question for each wish, then again as long as the
    /// answer is to look again. Nothing is asked when something else keeps the stack from starting.
    pub fn assign_asking(
        &mut self,
        wishes: &[PortWish],
        mine: &BTreeMap<Key, u16>,
        ask: &mut dyn FnMut(&Dispute) -> Answer,
    ) -> Result<BTreeMap<Key, Port>, Vec<Message>> {
        let mut wishes = wishes.to_vec();
        loop {
            let conflicts = match self.choose(&wishes, mine) {
                Ok(given) => return Ok(given),
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

    /// One choice for all wishes, and what follows from it when it can be made.
    fn choose<'w>(
        &mut self,
        wishes: &'w [PortWish],
        mine: &BTreeMap<Key, u16>,
    ) -> Result<BTreeMap<Key, Port>, Vec<Conflict<'w>>> {
        let mut market = Market {
            folder: &self.folder,
            leases: self.leases.as_ref(),
            remembered: &self.remembered,
            taken: &self.taken,
            claimed: BTreeMap::new(),
            trouble: None,
        };
        let question =
            Question { wishes, mine, before: &self.given, limits: &self.limits, seed: self.seed };
        let choices = choose(&question, &mut market).map_err(introduced)?;
        for choice in choices.values() {
            market.adopt(choice.number);
        }
        let Market { claimed, trouble, .. } = market;
        let numbers: BTreeSet<u16> = choices.values().map(|choice| choice.number).collect();
        self.taken.extend(claimed.into_iter().filter(|(number, _)| numbers.contains(number)));
        if let Some(error) = trouble {
            self.note(without_leases("a lock file", &error));
        }
        let given = self.describe(&choices);
        self.remark(&given);
        self.remember(&given);
        self.given.clone_from(&given);
        Ok(given)
    }

    /// Gives back every number that is not in `still`, which says what the stack's services have from now on.
    pub fn release_unused(&mut self, still: &BTreeMap<Key, Port>) {
        let used: BTreeSet<u16> = still.values().map(|port| port.number).collect();
        self.taken.retain(|number, _| used.contains(number));
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
            let text = format!("ports cannot be remembered for the next start: {error}");
            self.note(Message::new(Class::Disk, text));
        }
    }

    fn note(&mut self, note: Message) {
        debug!("{note}");
        if self.notes.len() < MOST_NOTES && !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
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

/// The holders of all numbers that are in use, in one walk over the processes.
fn name<'a>(obstacles: impl Iterator<Item = (u16, &'a Obstacle)>) -> BTreeMap<u16, Vec<Holder>> {
    let in_use = obstacles.filter(|(_, obstacle)| **obstacle == Obstacle::InUse);
    holders_of(&in_use.map(|(number, _)| number).collect())
}

fn without_leases(what: &str, error: &io::Error) -> Message {
    let text = format!("ports are not kept from other stacks: {what} cannot be used: {error}");
    Message::new(Class::Disk, text).help("start stacks one after another until that is repaired")
}

#[cfg(test)]
mod crowd;
#[cfg(test)]
mod tests;
