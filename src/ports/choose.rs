//! Chooses a number for each port request. Pure: facts come from a [`PortSource`].

use std::collections::{BTreeMap, BTreeSet};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::limits::FIRST_UNPRIVILEGED;
use super::{AllowedPorts, Key, PortObstacle, well_known};
use crate::model::{AssignedPort, ConflictPolicy, Name, PortRequest, PortWeight};

#[derive(Debug, Clone, Copy)]
pub struct ChoiceInput<'q, 'w> {
    /// All requests of the stack, in the order in which they are served.
    pub wishes: &'w [PortRequest],
    /// The ports that running services of this stack have.
    pub in_use: &'q BTreeMap<Key, u16>,
    /// Services that are not about to start. They are served last and never displace the others.
    pub not_starting: &'q BTreeSet<Name>,
    pub previous: &'q BTreeMap<Key, AssignedPort>,
    /// Which numbers may be chosen without being requested.
    pub limits: &'q AllowedPorts,
    /// Gives stacks in different directories different automatic ports.
    pub seed: u64,
}

/// The ports of the machine, or a fake.
pub trait PortSource {
    /// Claims `port` for this stack, or returns the obstacle. A failed claim has no effect.
    fn claim(&mut self, port: u16) -> Result<(), PortObstacle>;
    /// Suggests a number that may be free; it need not be allowed or new.
    fn suggest(&mut self) -> Option<u16>;
    /// Returns the number that `key` had last time, if it asked for `wanted` then.
    fn last(&self, key: &Key, wanted: Option<u16>) -> Option<u16>;
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortChoice {
    pub number: u16,
    pub wanted: Option<u16>,
    /// Whether no other number than `wanted` is acceptable.
    pub pinned: bool,
    /// Whether a running service keeps its number.
    pub unchanged: bool,
    /// Whether the number was claimed for this stack. If not, the request is among the conflicts.
    pub claimed: bool,
    /// Why it is not the requested number.
    pub obstacle: Option<PortObstacle>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortConflict<'w> {
    pub wish: &'w PortRequest,
    pub obstacle: PortObstacle,
    /// A number that would be available.
    pub alternative: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortChoices<'w> {
    pub choices: BTreeMap<Key, PortChoice>,
    pub conflicts: Vec<PortConflict<'w>>,
}

/// How many numbers `next` tries before falling back to any number.
const NEXT_TRIES: usize = 1_000;

/// How many suggestions to try. They are random, so a few are enough; an exhaustive scan follows.
const SUGGESTIONS: usize = 8;

/// Chooses all numbers in this order: running services keep theirs where possible; then pinned
/// requests, preferred ones that are free, preferred ones that must move, and those for any number.
/// Services that are not about to start come last, in the same order.
pub fn choose<'w>(
    question: &ChoiceInput<'_, 'w>,
    numbers: &mut impl PortSource,
) -> PortChoices<'w> {
    let mut chooser = PortChooser::new(question, numbers);
    chooser.keep_running();
    let idle = |wish: &&PortRequest| question.not_starting.contains(&wish.service);
    let (later, now): (Vec<_>, Vec<_>) = question.wishes.iter().partition(idle);
    for wishes in [now, later] {
        chooser.serve_pinned(&wishes);
        let moving = chooser.serve_preferred(&wishes);
        for (wish, number, obstacle) in moving {
            chooser.move_request(wish, number, obstacle);
        }
        chooser.serve_any(&wishes);
    }
    PortChoices { choices: chooser.choices, conflicts: chooser.conflicts }
}

/// Returns the number that a request names; `None` means any.
pub fn requested_number(wish: &PortRequest) -> Option<u16> {
    match wish.weight {
        PortWeight::Pinned | PortWeight::Preferred => wish.number.filter(|number| *number > 0),
        PortWeight::Any => None,
    }
}

pub fn key(wish: &PortRequest) -> Key {
    (wish.service.clone(), wish.port.clone())
}

struct PortChooser<'q, 'w, N> {
    question: &'q ChoiceInput<'q, 'w>,
    numbers: &'q mut N,
    named: BTreeSet<u16>,
    /// Numbers pinned by services that run or are about to start.
    pinned: BTreeSet<u16>,
    /// All numbers that running services of this stack hold.
    held: BTreeSet<u16>,
    /// Numbers assigned by this choice.
    owners: BTreeMap<u16, Key>,
    /// Unrequested numbers that are not available, so that each is tried only once.
    refused: BTreeSet<u16>,
    choices: BTreeMap<Key, PortChoice>,
    conflicts: Vec<PortConflict<'w>>,
    /// The system could not answer; further claims are pointless.
    failure: Option<String>,
}

impl<'q, 'w, N: PortSource> PortChooser<'q, 'w, N> {
    fn new(question: &'q ChoiceInput<'q, 'w>, numbers: &'q mut N) -> Self {
        let pinned = |wish: &&PortRequest| {
            wish.weight == PortWeight::Pinned && !question.not_starting.contains(&wish.service)
        };
        PortChooser {
            question,
            numbers,
            named: question.wishes.iter().filter_map(requested_number).collect(),
            pinned: question.wishes.iter().filter(pinned).filter_map(requested_number).collect(),
            held: question.in_use.values().copied().collect(),
            owners: BTreeMap::new(),
            refused: BTreeSet::new(),
            choices: BTreeMap::new(),
            conflicts: Vec::new(),
            failure: None,
        }
    }

    fn keep_running(&mut self) {
        for wish in self.question.wishes {
            let key = key(wish);
            let Some(&number) = self.question.in_use.get(&key) else { continue };
            if self.still_fits(wish, &key, number) && !self.owners.contains_key(&number) {
                self.give(wish, number, None, true);
            }
        }
    }

    /// An unchanged service keeps `number`, even if its preferred one is free again.
    fn still_fits(&self, wish: &PortRequest, key: &Key, number: u16) -> bool {
        let wanted = requested_number(wish);
        if wanted == Some(number) {
            return true;
        }
        if self.pinned.contains(&number) {
            return false;
        }
        match wish.weight {
            PortWeight::Pinned => wanted.is_none(),
            PortWeight::Any => true,
            PortWeight::Preferred => match wish.on_conflict {
                ConflictPolicy::Fail | ConflictPolicy::Strict => wanted.is_none(),
                ConflictPolicy::Next | ConflictPolicy::Auto | ConflictPolicy::Ask => {
                    let before = self.question.previous.get(key);
                    before.is_some_and(|port| port.number == number && port.wanted == wanted)
                }
            },
        }
    }

    fn serve_pinned(&mut self, wishes: &[&'w PortRequest]) {
        for &wish in wishes {
            let Some(number) = requested_number(wish) else { continue };
            if wish.weight != PortWeight::Pinned || self.choices.contains_key(&key(wish)) {
                continue;
            }
            match self.take(number) {
                Ok(()) => self.give(wish, number, None, false),
                Err(obstacle) => self.refuse(wish, number, obstacle),
            }
        }
    }

    fn serve_preferred(
        &mut self,
        wishes: &[&'w PortRequest],
    ) -> Vec<(&'w PortRequest, u16, PortObstacle)> {
        let mut moving = Vec::new();
        for &wish in wishes {
            let Some(number) = requested_number(wish) else { continue };
            if wish.weight != PortWeight::Preferred || self.choices.contains_key(&key(wish)) {
                continue;
            }
            match self.take(number) {
                Ok(()) => self.give(wish, number, None, false),
                Err(obstacle) => moving.push((wish, number, obstacle)),
            }
        }
        moving
    }

    fn serve_any(&mut self, wishes: &[&'w PortRequest]) {
        for &wish in wishes {
            let key = key(wish);
            if requested_number(wish).is_some() || self.choices.contains_key(&key) {
                continue;
            }
            let last = self.last(&key, None);
            match last.or_else(|| self.any_free(&key)) {
                Some(number) => self.give(wish, number, None, false),
                None => self.fail(wish),
            }
        }
    }

    /// Finds another number for a preferred request, following its policy.
    fn move_request(&mut self, wish: &'w PortRequest, number: u16, obstacle: PortObstacle) {
        if matches!(obstacle, PortObstacle::Failed(_))
            || matches!(
                wish.on_conflict,
                ConflictPolicy::Fail | ConflictPolicy::Strict | ConflictPolicy::Ask
            )
        {
            return self.refuse(wish, number, obstacle);
        }
        let key = key(wish);
        let other = self
            .last(&key, Some(number))
            .or_else(|| match wish.on_conflict {
                ConflictPolicy::Next
                | ConflictPolicy::Fail
                | ConflictPolicy::Strict
                | ConflictPolicy::Ask => self.next_above(number),
                ConflictPolicy::Auto => self.unprivileged_twin(number),
            })
            .or_else(|| self.any_free(&key));
        match other {
            Some(other) => self.give(wish, other, Some(obstacle), false),
            None => self.fail(wish),
        }
    }

    fn take(&mut self, number: u16) -> Result<(), PortObstacle> {
        if let Some((service, _)) = self.owners.get(&number) {
            return Err(PortObstacle::SameStack(service.clone()));
        }
        if self.held.contains(&number) {
            // A service of this stack that is moving away has it, so it will be free in time.
            return Ok(());
        }
        self.numbers.claim(number)
    }

    /// Claims a number that no request names, if it is allowed and free.
    fn try_unrequested(&mut self, number: u16) -> bool {
        let ours = self.owners.contains_key(&number) || self.held.contains(&number);
        if ours
            || self.failure.is_some()
            || self.named.contains(&number)
            || self.refused.contains(&number)
            || !self.question.limits.is_allowed(number)
        {
            return false;
        }
        match self.numbers.claim(number) {
            Ok(()) => true,
            Err(PortObstacle::Failed(why)) => {
                self.failure = Some(why);
                false
            }
            Err(
                PortObstacle::InUse
                | PortObstacle::Leased(_)
                | PortObstacle::Denied
                | PortObstacle::SameStack(_)
                | PortObstacle::NoneLeft,
            ) => {
                self.refused.insert(number);
                false
            }
        }
    }

    fn last(&mut self, key: &Key, wanted: Option<u16>) -> Option<u16> {
        let last = self.numbers.last(key, wanted)?;
        self.try_unrequested(last).then_some(last)
    }

    /// Finds the next number above `number`; for a privileged one, starts at its unprivileged twin.
    fn next_above(&mut self, number: u16) -> Option<u16> {
        let first = if number < FIRST_UNPRIVILEGED {
            unprivileged(number)
        } else {
            number.checked_add(1)?
        };
        (first..=u16::MAX).take(NEXT_TRIES).find(|&next| self.try_unrequested(next))
    }

    fn unprivileged_twin(&mut self, number: u16) -> Option<u16> {
        let counterpart = unprivileged(number);
        (number < FIRST_UNPRIVILEGED && self.try_unrequested(counterpart)).then_some(counterpart)
    }

    /// Finds any number: first the home port, then suggestions, then every number of the range.
    fn any_free(&mut self, key: &Key) -> Option<u16> {
        let range = self.question.limits.auto_range();
        let width = u64::from(range.end() - range.start()) + 1;
        let slot = self.home_port(key);
        if self.try_auto(slot) {
            return Some(slot);
        }
        for _ in 0..SUGGESTIONS {
            if let Some(suggested) = self.numbers.suggest()
                && self.try_auto(suggested)
            {
                return Some(suggested);
            }
        }
        let first = u64::from(slot - range.start());
        let number = |step: u64| {
            let offset = u16::try_from((first + step) % width).expect("the range fits into u16");
            range.start() + offset
        };
        (1..width).map(number).find(|&next| self.try_auto(next))
    }

    /// The home port: an automatic number derived from project directory and port.
    fn home_port(&self, key: &Key) -> u16 {
        let range = self.question.limits.auto_range();
        let width = u64::from(range.end() - range.start()) + 1;
        let name = format!("{}/{}", key.0, key.1);
        let slot = xxh3_64_with_seed(name.as_bytes(), self.question.seed) % width;
        range.start() + u16::try_from(slot).expect("the range fits into u16")
    }

    fn try_auto(&mut self, number: u16) -> bool {
        well_known::usual_program(number).is_none() && self.try_unrequested(number)
    }

    fn give(
        &mut self,
        wish: &PortRequest,
        number: u16,
        obstacle: Option<PortObstacle>,
        kept: bool,
    ) {
        let wanted = requested_number(wish);
        let pinned = wish.weight == PortWeight::Pinned && wanted.is_some();
        self.owners.insert(number, key(wish));
        let choice =
            PortChoice { number, wanted, pinned, unchanged: kept, claimed: true, obstacle };
        self.choices.insert(key(wish), choice);
    }

    fn refuse(&mut self, wish: &'w PortRequest, number: u16, obstacle: PortObstacle) {
        let key = key(wish);
        let last = match wish.on_conflict {
            // Offer what would be assigned.
            ConflictPolicy::Ask => self.last(&key, Some(number)),
            ConflictPolicy::Next
            | ConflictPolicy::Auto
            | ConflictPolicy::Fail
            | ConflictPolicy::Strict => None,
        };
        let alternative = last.or_else(|| self.next_above(number)).or_else(|| self.any_free(&key));
        if let Some(number) = alternative {
            // Two refusals must not suggest the same number.
            self.owners.insert(number, key);
        }
        self.conflicts.push(PortConflict { wish, obstacle, alternative });
        self.record_unclaimed(wish, number);
    }

    fn fail(&mut self, wish: &'w PortRequest) {
        let obstacle = self.failure.clone().map_or(PortObstacle::NoneLeft, PortObstacle::Failed);
        self.conflicts.push(PortConflict { wish, obstacle, alternative: None });
        let number = requested_number(wish).unwrap_or_else(|| self.home_port(&key(wish)));
        self.record_unclaimed(wish, number);
    }

    /// Records the number of a request that has a conflict.
    fn record_unclaimed(&mut self, wish: &PortRequest, number: u16) {
        let wanted = requested_number(wish);
        let pinned = wish.weight == PortWeight::Pinned && wanted.is_some();
        let (kept, claimed, obstacle) = (false, false, None);
        let choice = PortChoice { number, wanted, pinned, unchanged: kept, claimed, obstacle };
        self.choices.insert(key(wish), choice);
    }
}

/// The conventional substitute for a privileged port.
fn unprivileged(number: u16) -> u16 {
    match number {
        80 => 8080,
        443 => 8443,
        other => 8000_u16.saturating_add(other),
    }
}

#[cfg(test)]
mod tests;
