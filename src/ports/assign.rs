use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use tracing::debug;
use xxhash_rust::xxh3::xxh3_64;

use super::choose::{ChoiceInput, PortChoice, PortChoices, PortConflict, choose};
use super::history::PortHistory;
use super::hold::PortClaim;
use super::lease::LeaseDir;
use super::source::{OtherUsers, SystemPorts};
use super::{
    AllowedPorts, BindScope, ConflictAnswer, ConflictPrompt, PortHolder, PortObstacle,
    conflict_text, first_holders_of,
};
use crate::model::{
    AssignedPort, ConflictPolicy, DirMove, Message, MessageClass, Name, PortKey, PortRequest,
    WantedPort,
};

/// The ports of one stack: chooses them, leases them against other stacks, and remembers them.
/// Dropping it, or the end of the process, releases all leases.
#[derive(Debug)]
pub struct PortAllocator {
    /// The project directory, shown by other stacks.
    pub(super) project_dir: PathBuf,
    /// The name of the stack, shown by other stacks.
    pub(super) stack: Option<String>,
    pub(super) seed: u64,
    pub(super) limits: AllowedPorts,
    /// `None` if leases do not work here.
    pub(super) leases: Option<LeaseDir>,
    pub(super) remembered: PortHistory,
    pub(super) taken: BTreeMap<u16, PortClaim>,
    /// Numbers that were given without a claim, because they are in use.
    pub(super) given_unclaimed: BTreeMap<PortKey, u16>,
    pub(super) given: BTreeMap<PortKey, AssignedPort>,
    pub(super) notes: Vec<Message>,
}

/// The input of an assignment.
#[derive(Clone, Copy)]
pub struct AssignRequest<'a> {
    /// All port requests of the stack.
    pub requests: &'a [PortRequest],
    /// The ports of running services: no conflict for the same request, if it still allows them.
    pub in_use: &'a BTreeMap<PortKey, u16>,
    /// Services that are not about to start. They never displace services that are.
    pub not_starting: &'a BTreeSet<Name>,
    /// Numbers that a service failed to bind although they looked free.
    pub excluded: &'a BTreeSet<u16>,
    /// Whether nothing is assigned at all if this request cannot be met.
    pub is_required: &'a dyn Fn(&PortRequest) -> bool,
}

impl<'a> AssignRequest<'a> {
    /// Creates the input for services that all start.
    pub fn all(
        requests: &'a [PortRequest],
        in_use: &'a BTreeMap<PortKey, u16>,
    ) -> AssignRequest<'a> {
        const NO_SERVICES: &BTreeSet<Name> = &BTreeSet::new();
        const NO_PORTS: &BTreeSet<u16> = &BTreeSet::new();
        AssignRequest {
            requests,
            in_use,
            not_starting: NO_SERVICES,
            excluded: NO_PORTS,
            is_required: &|_| true,
        }
    }

    /// Splits conflicts into those of required requests and the others.
    pub(super) fn judge<'w>(
        &self,
        conflicts: Vec<PortConflict<'w>>,
    ) -> (Vec<PortConflict<'w>>, Vec<PortConflict<'w>>) {
        conflicts.into_iter().partition(|conflict| (self.is_required)(conflict.request))
    }
}

/// The result of an assignment.
#[derive(Debug, Default)]
pub struct PortAssignment {
    /// A port for each request.
    pub ports: BTreeMap<PortKey, AssignedPort>,
    /// Why an optional request was not met. Its service must not start with the number it was
    /// given.
    pub refused: BTreeMap<PortKey, Message>,
}

/// Callers drain the notes after each call.
const MOST_NOTES: usize = 100;

impl PortAllocator {
    /// Opens the ports of the stack in a project directory (absolute). `lease_dir` is shared by all
    /// devstacks of this user and created with mode 0700 if missing; `remembered` is a file in the
    /// state directory, which should exist. Never fails: problems are in [`PortAllocator::notes`].
    pub fn open(lease_dir: &Path, remembered: &Path, dir: &Path) -> PortAllocator {
        let (remembered, trouble) = PortHistory::open(remembered);
        let mut ports = PortAllocator::new(None, remembered, dir);
        if let Some(trouble) = trouble {
            let text = format!("previous port choices were lost: {trouble}");
            ports.note(Message::new(MessageClass::Disk, text));
        }
        match LeaseDir::open(lease_dir) {
            Ok(leases) => ports.leases = Some(leases),
            Err(error) => ports.note(without_leases(&lease_dir.display().to_string(), &error)),
        }
        ports
    }

    /// Opens the ports of a stack read-only: creates nothing that [`PortAllocator::open`] would.
    pub fn look(lease_dir: &Path, remembered: Option<&Path>, dir: &Path) -> PortAllocator {
        PortAllocator::new(LeaseDir::find(lease_dir), PortHistory::look(remembered), dir)
    }

    fn new(leases: Option<LeaseDir>, remembered: PortHistory, dir: &Path) -> PortAllocator {
        let (first, last) = super::ephemeral_range();
        PortAllocator {
            project_dir: dir.to_owned(),
            stack: None,
            seed: xxh3_64(dir.as_os_str().as_encoded_bytes()),
            limits: AllowedPorts::new(first, last),
            leases,
            remembered,
            taken: BTreeMap::new(),
            given_unclaimed: BTreeMap::new(),
            given: BTreeMap::new(),
            notes: Vec::new(),
        }
    }

    /// Sets the name by which other stacks call this one.
    pub fn of_stack(self, name: &str) -> PortAllocator {
        PortAllocator { stack: Some(name.to_owned()), ..self }
    }

    /// Continues in the project directory's new place.
    pub fn move_to(&mut self, dir: &Path) {
        let to = dir.to_owned();
        let moved = DirMove { from: std::mem::replace(&mut self.project_dir, to.clone()), to };
        self.remembered.relocate(&moved);
    }

    /// Like [`PortAllocator::assign_with_prompt`], if all services start, and without a prompt.
    ///
    /// # Errors
    /// The same.
    pub fn assign(
        &mut self,
        requests: &[PortRequest],
        in_use: &BTreeMap<PortKey, u16>,
    ) -> Result<BTreeMap<PortKey, AssignedPort>, Vec<Message>> {
        let asked = AssignRequest::all(requests, in_use);
        self.assign_with_prompt(&asked, &mut |_| ConflictAnswer::Quit)
            .map(|assigned| assigned.ports)
    }

    /// Chooses ports for all requests of the stack at once. Earlier numbers stay claimed until
    /// [`PortAllocator::release_unused`], because their services may still be running. Policy `ask`
    /// prompts the user, one request at a time, unless another conflict prevents the start anyway.
    ///
    /// # Errors
    /// One message for each required request that cannot be met (class `port`; `denied` for
    /// privileges; `limit` if no port is left or the system cannot tell), with the holder and a
    /// remedy. Nothing has changed then.
    pub fn assign_with_prompt(
        &mut self,
        asked: &AssignRequest<'_>,
        ask: &mut dyn FnMut(&ConflictPrompt) -> ConflictAnswer,
    ) -> Result<PortAssignment, Vec<Message>> {
        let mut requests = asked.requests.to_vec();
        loop {
            let conflicts = match self.choose(&AssignRequest { requests: &requests, ..*asked }) {
                Ok(assigned) => return Ok(assigned),
                Err(conflicts) => conflicts,
            };
            let holders = holders_in(&conflicts);
            let refusals = || {
                conflicts
                    .iter()
                    .map(|found| conflict_text::conflict_message(found, &holders))
                    .collect()
            };
            let disputes: Option<Vec<ConflictPrompt>> =
                conflicts.iter().map(|found| conflict_text::prompt_for(found, &holders)).collect();
            let Some(dispute) = disputes.as_ref().and_then(|all| all.first()) else {
                return Err(refusals());
            };
            match ask(dispute) {
                ConflictAnswer::Next => {
                    let agreed = conflicts[0].request.key.clone();
                    for request in requests.iter_mut().filter(|one| one.key == agreed) {
                        if let WantedPort::Preferred(_, policy) = &mut request.wanted {
                            *policy = ConflictPolicy::Next;
                        }
                    }
                }
                ConflictAnswer::Retry => {}
                ConflictAnswer::Quit => return Err(refusals()),
            }
        }
    }

    /// Chooses once and commits the result, unless required requests have conflicts; returns those.
    fn choose<'w>(
        &mut self,
        asked: &AssignRequest<'w>,
    ) -> Result<PortAssignment, Vec<PortConflict<'w>>> {
        let mut market = SystemPorts {
            dir: &self.project_dir,
            leases: self.leases.as_ref(),
            remembered: &self.remembered,
            taken: &self.taken,
            excluded: asked.excluded,
            claimed: BTreeMap::new(),
            lease_error: None,
            other_users: OtherUsers::NoneMet,
        };
        let PortChoices { choices, conflicts } = choose(&self.choice_input(asked), &mut market);
        let (required, conflicts) = asked.judge(conflicts);
        if !required.is_empty() {
            return Err(required);
        }
        let is_unclaimed = |choice: &PortChoice| matches!(choice, PortChoice::Unclaimed(_));
        let ours = choices.values().filter(|choice| !is_unclaimed(choice));
        let numbers: BTreeSet<u16> = ours.map(PortChoice::number).collect();
        numbers.iter().for_each(|number| market.lease_without_probe(*number));
        let SystemPorts { claimed, lease_error: trouble, .. } = market;
        self.taken.extend(claimed.into_iter().filter(|(number, _)| numbers.contains(number)));
        let unclaimed = choices.iter().filter(|(_, choice)| is_unclaimed(choice));
        self.given_unclaimed =
            unclaimed.map(|(key, choice)| (key.clone(), choice.number())).collect();
        self.leave_unheld(&choices);
        self.label_leases(&choices);
        if let Some(error) = trouble {
            self.note(without_leases("a lock file", &error));
        }
        let given = self.describe(asked.requests, &choices);
        self.remark(&given);
        self.remember(&given);
        self.given.clone_from(&given);
        let holders = holders_in(&conflicts);
        let refused = |conflict: &PortConflict<'_>| {
            (conflict.request.key.clone(), conflict_text::refusal_message(conflict, &holders))
        };
        Ok(PortAssignment { ports: given, refused: conflicts.iter().map(refused).collect() })
    }

    /// Reassigns ports of services that lost one. Services in `others` are served after them.
    /// Requests that cannot be met are among the refused ones.
    pub fn reassign(
        &mut self,
        requests: &[PortRequest],
        in_use: &BTreeMap<PortKey, u16>,
        others: &BTreeSet<Name>,
        excluded: &BTreeSet<u16>,
    ) -> PortAssignment {
        let asked = AssignRequest {
            requests,
            in_use,
            not_starting: others,
            excluded,
            is_required: &|_| false,
        };
        self.choose(&asked).expect("only required requests fail the choice")
    }

    pub(super) fn choice_input<'q, 'w>(&'q self, asked: &AssignRequest<'w>) -> ChoiceInput<'q, 'w>
    where
        'w: 'q,
    {
        ChoiceInput {
            requests: asked.requests,
            in_use: asked.in_use,
            not_starting: asked.not_starting,
            previous: &self.given,
            limits: &self.limits,
            seed: self.seed,
        }
    }

    /// Whether this port was given `number` although another process has it. It must then be chosen
    /// again before its service starts.
    pub fn is_unclaimed(&self, key: &PortKey, number: u16) -> bool {
        self.given_unclaimed.get(key) == Some(&number)
    }

    /// Drops the holds now and for later starts, for a program that cannot bind a held port. False
    /// if there were none, so that they cannot be the reason.
    pub fn never_hold(&mut self, service: &Name) -> bool {
        let given = self.given.iter().filter(|(key, _)| key.service == *service);
        let keys: Vec<PortKey> = given.map(|(key, _)| key.clone()).collect();
        let held = self.drop_holds(service);
        for key in keys.into_iter().filter(|_| held) {
            if let Err(error) = self.remembered.disable_hold(&key) {
                self.note(not_remembered(&error));
            }
        }
        held
    }

    fn leave_unheld(&mut self, choices: &BTreeMap<PortKey, PortChoice>) {
        for (key, choice) in choices.iter().filter(|(key, _)| self.remembered.is_hold_disabled(key))
        {
            if let Some(claim) = self.taken.get_mut(&choice.number()) {
                debug!("{} is not held", key.id());
                claim.hold = None;
            }
        }
    }

    /// Says in each lease which service it is for, and notes what else announces the port.
    fn label_leases(&mut self, choices: &BTreeMap<PortKey, PortChoice>) {
        let mut notes = Vec::new();
        for (key, choice) in choices {
            let number = choice.number();
            let Some(claim) = self.taken.get_mut(&number) else { continue };
            let Some(lease) = claim.lease.as_mut() else { continue };
            lease.set_service(self.stack.as_deref(), key.service.as_str());
            let is_new = self.given.get(key).is_none_or(|before| before.number != number);
            if let Some(process) = lease.disputed_by().filter(|_| is_new) {
                notes.push(conflict_text::disputed_lease(number, process));
            }
        }
        notes.into_iter().for_each(|note| self.note(note));
    }

    /// Releases all numbers that are neither in `still` (the ports the services keep) nor in
    /// `leaving` (still used by exiting processes).
    pub fn release_unused(
        &mut self,
        still: &BTreeMap<PortKey, AssignedPort>,
        leaving: &BTreeSet<u16>,
    ) {
        let used: BTreeSet<u16> = still.values().map(|port| port.number).collect();
        self.taken.retain(|number, _| used.contains(number) || leaving.contains(number));
        self.given_unclaimed
            .retain(|key, number| still.get(key).is_some_and(|port| port.number == *number));
        self.given.clone_from(still);
    }

    /// Returns and clears the notes since the last call.
    pub fn notes(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.notes)
    }

    pub(super) fn describe(
        &self,
        requests: &[PortRequest],
        choices: &BTreeMap<PortKey, PortChoice>,
    ) -> BTreeMap<PortKey, AssignedPort> {
        let chosen = requests.iter().filter_map(|one| Some((one, choices.get(&one.key)?)));
        let obstacles = chosen.clone().filter_map(|(request, choice)| {
            let PortChoice::Moved(_, obstacle) = choice else { return None };
            Some((request, obstacle))
        });
        let holders = name(obstacles);
        let describe = |(request, choice): (&PortRequest, &PortChoice)| {
            let PortRequest { key, wanted, .. } = request;
            let port = AssignedPort {
                name: key.port.clone(),
                number: choice.number(),
                wanted: wanted.number(),
                pinned: wanted.is_pinned(),
                moved: self.why_moved(request, choice, &holders),
            };
            (key.clone(), port)
        };
        chosen.map(describe).collect()
    }

    fn why_moved(
        &self,
        request: &PortRequest,
        choice: &PortChoice,
        holders: &BTreeMap<u16, Vec<PortHolder>>,
    ) -> Option<String> {
        let number = choice.number();
        let wanted = request.wanted.number().filter(|wanted| *wanted != number)?;
        if let PortChoice::Moved(_, obstacle) = choice {
            let holders = holders.get(&wanted).map(Vec::as_slice).unwrap_or_default();
            return Some(conflict_text::obstacle_text(wanted, obstacle, holders));
        }
        let before = self.given.get(&request.key).filter(|before| before.number == number);
        before.and_then(|before| before.moved.clone())
    }

    fn remark(&mut self, given: &BTreeMap<PortKey, AssignedPort>) {
        let mut ephemeral = Vec::new();
        for (key, port) in given {
            if self.given.get(key).is_some_and(|before| before.number == port.number) {
                continue;
            }
            if port.wanted != Some(port.number) && self.limits.is_ephemeral(port.number) {
                ephemeral.push((key, port.number));
            }
            if let Some(remark) = conflict_text::browser_warning(key, port.number) {
                self.note(remark);
            }
        }
        if !ephemeral.is_empty() {
            self.note(conflict_text::ephemeral_ports(&ephemeral, self.limits.ephemeral()));
        }
    }

    fn remember(&mut self, given: &BTreeMap<PortKey, AssignedPort>) {
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

pub(super) fn holders_in(conflicts: &[PortConflict<'_>]) -> BTreeMap<u16, Vec<PortHolder>> {
    name(conflicts.iter().map(|found| (found.request, &found.obstacle)))
}

/// Finds the holders of all numbers in use, in one scan over the processes.
fn name<'a>(
    obstacles: impl Iterator<Item = (&'a PortRequest, &'a PortObstacle)>,
) -> BTreeMap<u16, Vec<PortHolder>> {
    let in_use = obstacles.filter(|(_, obstacle)| **obstacle == PortObstacle::InUse);
    let number =
        |request: &PortRequest| Some((request.wanted.number()?, BindScope::of(&request.host)));
    first_holders_of(&in_use.filter_map(|(request, _)| number(request)).collect())
}

fn without_leases(what: &str, error: &io::Error) -> Message {
    let text = format!("cannot reserve ports against other stacks: cannot use {what}: {error}");
    Message::new(MessageClass::Disk, text).help("start stacks one at a time until this is fixed")
}

#[cfg(test)]
mod tests;
