//! Chooses a number for each port request. Pure: facts come from a [`PortSource`].

use std::collections::{BTreeMap, BTreeSet};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::limits::FIRST_UNPRIVILEGED;
use super::{AllowedPorts, BindScope, PortObstacle, well_known};
use crate::model::{AssignedPort, ConflictPolicy, Name, PortKey, PortRequest, WantedPort};

#[derive(Debug, Clone, Copy)]
pub struct ChoiceInput<'q, 'w> {
    /// All requests of the stack, in the order in which they are served.
    pub requests: &'w [PortRequest],
    /// The ports that running services of this stack have.
    pub in_use: &'q BTreeMap<PortKey, u16>,
    /// Services that are not about to start. They are served last and never displace the others.
    pub not_starting: &'q BTreeSet<Name>,
    pub previous: &'q BTreeMap<PortKey, AssignedPort>,
    /// Which numbers may be chosen without being requested.
    pub limits: &'q AllowedPorts,
    /// Gives stacks in different directories different automatic ports.
    pub seed: u64,
}

/// The ports of the machine, or a fake.
pub trait PortSource {
    /// Claims `port` for this stack, or returns the obstacle within `scope`. A failed claim has no
    /// effect.
    fn claim(&mut self, port: u16, scope: BindScope) -> Result<(), PortObstacle>;
    /// Suggests a number that may be free; it need not be allowed or new.
    fn suggest(&mut self) -> Option<u16>;
    /// Takes announcements of other users for no obstacle, because nothing proves them. Returns
    /// whether one was in the way.
    fn disregard_other_users(&mut self) -> bool;
    /// Returns the number that `key` had last time, if it asked for `wanted` then.
    fn last(&self, key: &PortKey, wanted: Option<u16>) -> Option<u16>;
}

/// The number for one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortChoice {
    /// A running service keeps its number.
    Unchanged(u16),
    /// The requested number, or any if any was requested.
    Requested(u16),
    /// Another number than the requested one.
    Moved(u16, PortObstacle),
    /// Not claimed for this stack: the request is among the conflicts.
    Unclaimed(u16),
}

impl PortChoice {
    pub fn number(&self) -> u16 {
        let (PortChoice::Unchanged(number)
        | PortChoice::Requested(number)
        | PortChoice::Moved(number, _)
        | PortChoice::Unclaimed(number)) = self;
        *number
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortConflict<'w> {
    pub request: &'w PortRequest,
    pub obstacle: PortObstacle,
    /// A number that would be available.
    pub alternative: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortChoices<'w> {
    pub choices: BTreeMap<PortKey, PortChoice>,
    pub conflicts: Vec<PortConflict<'w>>,
}

/// How many numbers `next` tries before falling back to any number.
const NEXT_TRIES: usize = 1_000;

/// How many suggestions to try. They are random, so a few are enough; an exhaustive scan follows.
const SUGGESTIONS: usize = 8;

/// Chooses all numbers in this order: running services keep theirs where possible; then pinned
/// requests, preferred ones that are free, preferred ones that must move, and those for any number.
/// Services that are not about to start come last, in the same order.
pub fn choose<'w>(input: &ChoiceInput<'_, 'w>, numbers: &mut impl PortSource) -> PortChoices<'w> {
    let mut chooser = PortChooser::new(input, numbers);
    chooser.keep_running();
    let idle = |one: &&PortRequest| input.not_starting.contains(&one.key.service);
    let (later, now): (Vec<_>, Vec<_>) = input.requests.iter().partition(idle);
    for requests in [now, later] {
        chooser.assign_pinned(&requests);
        for moving in chooser.assign_preferred(&requests) {
            chooser.move_request(moving);
        }
        chooser.assign_any(&requests);
    }
    PortChoices { choices: chooser.choices, conflicts: chooser.conflicts }
}

/// A preferred request whose number is not available.
struct MovingRequest<'w> {
    request: &'w PortRequest,
    number: u16,
    policy: ConflictPolicy,
    obstacle: PortObstacle,
}

struct PortChooser<'q, 'w, N> {
    input: &'q ChoiceInput<'q, 'w>,
    numbers: &'q mut N,
    named: BTreeSet<u16>,
    /// Numbers pinned by services that run or are about to start.
    pinned: BTreeSet<u16>,
    /// All numbers that running services of this stack hold.
    held: BTreeSet<u16>,
    /// Numbers assigned by this choice.
    owners: BTreeMap<u16, PortKey>,
    /// Unrequested numbers that are not available, so that each is tried only once.
    refused: BTreeSet<u16>,
    choices: BTreeMap<PortKey, PortChoice>,
    conflicts: Vec<PortConflict<'w>>,
    /// The system could not answer; further claims are pointless.
    failure: Option<String>,
}

impl<'q, 'w, N: PortSource> PortChooser<'q, 'w, N> {
    fn new(input: &'q ChoiceInput<'q, 'w>, numbers: &'q mut N) -> Self {
        let numbered = input.requests.iter().filter_map(|one| Some((one, one.wanted.number()?)));
        let pinned = numbered.clone().filter(|(request, _)| {
            request.wanted.is_pinned() && !input.not_starting.contains(&request.key.service)
        });
        PortChooser {
            input,
            numbers,
            pinned: pinned.map(|(_, number)| number).collect(),
            named: numbered.map(|(_, number)| number).collect(),
            held: input.in_use.values().copied().collect(),
            owners: BTreeMap::new(),
            refused: BTreeSet::new(),
            choices: BTreeMap::new(),
            conflicts: Vec::new(),
            failure: None,
        }
    }

    fn keep_running(&mut self) {
        for request in self.input.requests {
            let Some(&number) = self.input.in_use.get(&request.key) else { continue };
            if self.still_fits(request, number) && !self.owners.contains_key(&number) {
                self.give(request, PortChoice::Unchanged(number));
            }
        }
    }

    /// An unchanged service keeps `number`, even if its preferred one is free again.
    fn still_fits(&self, request: &PortRequest, number: u16) -> bool {
        let wanted = request.wanted.number();
        if wanted == Some(number) {
            return true;
        }
        if self.pinned.contains(&number) {
            return false;
        }
        match request.wanted {
            WantedPort::Any => true,
            WantedPort::Pinned(_)
            | WantedPort::Preferred(_, ConflictPolicy::Fail | ConflictPolicy::Strict) => false,
            WantedPort::Preferred(
                _,
                ConflictPolicy::Next | ConflictPolicy::Auto | ConflictPolicy::Ask,
            ) => {
                let before = self.input.previous.get(&request.key);
                before.is_some_and(|port| port.number == number && port.wanted == wanted)
            }
        }
    }

    fn assign_pinned(&mut self, requests: &[&'w PortRequest]) {
        for &request in requests {
            let WantedPort::Pinned(number) = request.wanted else { continue };
            if self.choices.contains_key(&request.key) {
                continue;
            }
            match self.take(request, number.get()) {
                Ok(()) => self.give(request, PortChoice::Requested(number.get())),
                Err(obstacle) => self.refuse(request, number.get(), obstacle, None),
            }
        }
    }

    /// Returns the requests whose number is not available.
    fn assign_preferred(&mut self, requests: &[&'w PortRequest]) -> Vec<MovingRequest<'w>> {
        let mut moving = Vec::new();
        for &request in requests {
            let WantedPort::Preferred(number, policy) = request.wanted else { continue };
            if self.choices.contains_key(&request.key) {
                continue;
            }
            let number = number.get();
            match self.take(request, number) {
                Ok(()) => self.give(request, PortChoice::Requested(number)),
                Err(obstacle) => moving.push(MovingRequest { request, number, policy, obstacle }),
            }
        }
        moving
    }

    fn assign_any(&mut self, requests: &[&'w PortRequest]) {
        for &request in requests {
            if request.wanted != WantedPort::Any || self.choices.contains_key(&request.key) {
                continue;
            }
            match self.last(request, None).or_else(|| self.any_free(request)) {
                Some(number) => self.give(request, PortChoice::Requested(number)),
                None => self.fail(request),
            }
        }
    }

    /// Finds another number for a preferred request, following its policy.
    fn move_request(&mut self, moving: MovingRequest<'w>) {
        let MovingRequest { request, number, policy, obstacle } = moving;
        if matches!(obstacle, PortObstacle::Failed(_)) {
            return self.refuse(request, number, obstacle, None);
        }
        let other = match policy {
            ConflictPolicy::Fail | ConflictPolicy::Strict => {
                return self.refuse(request, number, obstacle, None);
            }
            ConflictPolicy::Ask => {
                // Offer what would be assigned.
                let last = self.last(request, Some(number));
                return self.refuse(request, number, obstacle, last);
            }
            ConflictPolicy::Next => {
                self.last(request, Some(number)).or_else(|| self.next_above(request, number))
            }
            ConflictPolicy::Auto => {
                self.last(request, Some(number)).or_else(|| self.unprivileged_twin(request, number))
            }
        };
        match other.or_else(|| self.any_free(request)) {
            Some(other) => self.give(request, PortChoice::Moved(other, obstacle)),
            None => self.fail(request),
        }
    }

    fn take(&mut self, request: &PortRequest, number: u16) -> Result<(), PortObstacle> {
        if let Some(owner) = self.owners.get(&number) {
            return Err(PortObstacle::SameStack(owner.service.clone()));
        }
        if self.held.contains(&number) {
            // A service of this stack that is moving away has it, so it will be free in time.
            return Ok(());
        }
        self.numbers.claim(number, BindScope::of(&request.host))
    }

    /// Claims a number that no request names, if it is allowed and free.
    fn try_unrequested(&mut self, request: &PortRequest, number: u16) -> bool {
        let ours = self.owners.contains_key(&number) || self.held.contains(&number);
        if ours
            || self.failure.is_some()
            || self.named.contains(&number)
            || self.refused.contains(&number)
            || !self.input.limits.is_allowed(number)
        {
            return false;
        }
        match self.numbers.claim(number, BindScope::of(&request.host)) {
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

    fn last(&mut self, request: &PortRequest, wanted: Option<u16>) -> Option<u16> {
        let last = self.numbers.last(&request.key, wanted)?;
        self.try_unrequested(request, last).then_some(last)
    }

    /// Finds the next number above `number`; for a privileged one, starts at its unprivileged twin.
    fn next_above(&mut self, request: &PortRequest, number: u16) -> Option<u16> {
        let first = if number < FIRST_UNPRIVILEGED {
            unprivileged(number)
        } else {
            number.checked_add(1)?
        };
        (first..=u16::MAX).take(NEXT_TRIES).find(|&next| self.try_unrequested(request, next))
    }

    fn unprivileged_twin(&mut self, request: &PortRequest, number: u16) -> Option<u16> {
        let counterpart = unprivileged(number);
        (number < FIRST_UNPRIVILEGED && self.try_unrequested(request, counterpart))
            .then_some(counterpart)
    }

    fn any_free(&mut self, request: &PortRequest) -> Option<u16> {
        self.find_any(request).or_else(|| {
            if !self.numbers.disregard_other_users() {
                return None;
            }
            self.refused.clear();
            self.find_any(request)
        })
    }

    /// Finds any number: first the home port, then suggestions, then every number of the range.
    fn find_any(&mut self, request: &PortRequest) -> Option<u16> {
        let range = self.input.limits.auto_range();
        let width = u64::from(range.end() - range.start()) + 1;
        let state = self.home_port(&request.key);
        if self.try_auto(request, state) {
            return Some(state);
        }
        for _ in 0..SUGGESTIONS {
            if let Some(suggested) = self.numbers.suggest()
                && self.try_auto(request, suggested)
            {
                return Some(suggested);
            }
        }
        let first = u64::from(state - range.start());
        let number = |step: u64| {
            let offset = u16::try_from((first + step) % width).expect("the range fits into u16");
            range.start() + offset
        };
        (1..width).map(number).find(|&next| self.try_auto(request, next))
    }

    /// The home port: an automatic number derived from project directory and port.
    fn home_port(&self, key: &PortKey) -> u16 {
        let range = self.input.limits.auto_range();
        let width = u64::from(range.end() - range.start()) + 1;
        let state = xxh3_64_with_seed(key.id().as_bytes(), self.input.seed) % width;
        range.start() + u16::try_from(state).expect("the range fits into u16")
    }

    fn try_auto(&mut self, request: &PortRequest, number: u16) -> bool {
        well_known::usual_program(number).is_none() && self.try_unrequested(request, number)
    }

    fn give(&mut self, request: &PortRequest, choice: PortChoice) {
        self.owners.insert(choice.number(), request.key.clone());
        self.choices.insert(request.key.clone(), choice);
    }

    /// Records a conflict; `alternative` is a number that the request could have instead, if known.
    fn refuse(
        &mut self,
        request: &'w PortRequest,
        number: u16,
        obstacle: PortObstacle,
        alternative: Option<u16>,
    ) {
        let key = &request.key;
        let alternative = alternative
            .or_else(|| self.next_above(request, number))
            .or_else(|| self.any_free(request));
        if let Some(number) = alternative {
            // Two refusals must not suggest the same number.
            self.owners.insert(number, key.clone());
        }
        self.conflicts.push(PortConflict { request, obstacle, alternative });
        self.choices.insert(key.clone(), PortChoice::Unclaimed(number));
    }

    fn fail(&mut self, request: &'w PortRequest) {
        let obstacle = self.failure.clone().map_or(PortObstacle::NoneLeft, PortObstacle::Failed);
        self.conflicts.push(PortConflict { request, obstacle, alternative: None });
        let key = &request.key;
        let number = request.wanted.number().unwrap_or_else(|| self.home_port(key));
        self.choices.insert(key.clone(), PortChoice::Unclaimed(number));
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
