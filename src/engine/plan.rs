use std::collections::BTreeMap;

use super::difference::Difference;
use super::order::{start_order, wanted};
use super::rename::renames;
use super::slot::{Outcome, Slot, State, Want};
use super::{Engine, Selection};
use crate::model::{
    Cause, ChangeAction, Dependency, Name, Plan, RestartPolicy, Service, ServiceChange, Stack,
};

/// Computes what a new configuration changes, for the engine, the log and `devstack plan`.
impl Engine {
    /// Returns what applying `stack` would change, if `selection` is what `up` was asked to start.
    pub fn plan(&self, stack: &Stack, selection: Option<&Selection>) -> Plan {
        let base = wanted(stack, selection);
        let renamed = self.stack.as_ref().map_or_else(BTreeMap::new, |old| renames(old, stack));
        let mut plan = Plan::default();
        let old = self.stack.iter().flat_map(|old| old.services.keys());
        let gone = old.filter(|name| !stack.services.contains_key(*name));
        for name in gone.filter(|name| renamed.values().all(|former| former != *name)) {
            plan.changes.push(ServiceChange::new(name.clone(), ChangeAction::Remove, "removed"));
        }
        for name in start_order(&stack.services) {
            let service = &stack.services[name];
            let known = self.stack.as_ref().is_some_and(|old| old.services.contains_key(name));
            let change = match (renamed.get(name), self.slots.get(name).filter(|_| known)) {
                (Some(former), _) => Some(self.rename(former, service, base.get(name))),
                (None, None) => Some(added(service, base.get(name))),
                (None, Some(slot)) => slot.change(service, base.get(name)),
            };
            let runs_on =
                change.as_ref().is_none_or(|change| change.action == ChangeAction::Update);
            if runs_on && self.slots.get(name).is_some_and(|slot| slot.live_run().is_some()) {
                plan.unchanged.push(name.clone());
            }
            plan.changes.extend(change);
        }
        plan.unchanged.sort_unstable();
        plan
    }

    fn rename(&self, former: &Name, service: &Service, base: Option<&Cause>) -> ServiceChange {
        let slot = self.slots.get(former);
        let starts = match slot.map(|slot| slot.next_want(base)) {
            Some(want) => want.is_yes(),
            None => base.is_some(),
        };
        let live = slot.is_some_and(|slot| slot.live_run().is_some());
        let action = if starts || live { ChangeAction::Rename } else { ChangeAction::Define };
        let because = format!("renamed from {former}");
        ServiceChange { renamed_from: Some(former.clone()), ..change(service, action, because) }
    }
}

impl Slot {
    /// Returns the desired state after an apply; `base` is why a fresh start would run the service.
    /// Explicit user requests stay in effect.
    pub fn next_want(&self, base: Option<&Cause>) -> Want {
        match &self.want {
            Want::Stopped | Want::Yes(Cause::Requested(_)) => self.want.clone(),
            Want::No | Want::Removed | Want::Yes(_) => {
                base.map_or(Want::No, |cause| Want::Yes(cause.clone()))
            }
        }
    }

    /// Returns the change that the new definition `service` causes, if any.
    fn change(&self, service: &Service, base: Option<&Cause>) -> Option<ServiceChange> {
        let difference = Difference::between(&self.service, service);
        let next = self.next_want(base);
        let action = match (self.wanted(), &next) {
            (true, Want::Yes(_)) if difference.is_none() => return None,
            (true, Want::Yes(_)) => self.takes(&difference, service),
            (false, Want::Yes(_)) => ChangeAction::Start,
            (true, Want::No | Want::Stopped | Want::Removed) => ChangeAction::Stop,
            (false, Want::No | Want::Stopped | Want::Removed) if difference.is_none() => {
                return None;
            }
            (false, Want::No | Want::Stopped | Want::Removed) => self.prepares(),
        };
        let because = match (&next, difference.is_none()) {
            (_, false) => difference.because(),
            (Want::Yes(cause), true) => cause.to_string(),
            (Want::No | Want::Stopped | Want::Removed, true) => "no longer needed".into(),
        };
        let fields = difference.fields.iter().map(|field| (*field).to_owned()).collect();
        let variables = difference.variables;
        Some(ServiceChange { fields, variables, ..change(service, action, because) })
    }

    /// Returns how a service that stays wanted takes a difference.
    fn takes(&self, difference: &Difference, service: &Service) -> ChangeAction {
        let restart = !difference.restart.is_empty();
        match &self.state {
            State::Launching { .. }
            | State::Starting { .. }
            | State::Late { .. }
            | State::Ready { .. }
            | State::Unwell { .. }
            | State::Stopping { .. }
            | State::Draining { .. }
                if restart =>
            {
                ChangeAction::Restart
            }
            // The change may be the fix.
            State::Backoff { .. } | State::Over(Outcome::Failed(_)) => ChangeAction::Start,
            State::Over(Outcome::Done(_)) => match service.restart.policy {
                _ if restart => ChangeAction::Start,
                RestartPolicy::Always => ChangeAction::Start,
                RestartPolicy::No | RestartPolicy::OnFailure => ChangeAction::Prepare,
            },
            State::Idle
            | State::Launching { .. }
            | State::Starting { .. }
            | State::Late { .. }
            | State::Ready { .. }
            | State::Unwell { .. }
            | State::Stopping { .. }
            | State::Draining { .. }
            | State::Displaced { .. } => self.prepares(),
        }
    }

    /// Returns how a service takes a difference that does not affect whether it runs.
    fn prepares(&self) -> ChangeAction {
        if self.live_run().is_some() { ChangeAction::Update } else { ChangeAction::Prepare }
    }
}

impl Want {
    fn is_yes(&self) -> bool {
        match self {
            Want::Yes(_) => true,
            Want::No | Want::Stopped | Want::Removed => false,
        }
    }
}

fn added(service: &Service, base: Option<&Cause>) -> ServiceChange {
    match base {
        Some(_) => change(service, ChangeAction::Add, "added".to_owned()),
        None => {
            let why = if service.autostart { "not requested" } else { "starts only by name" };
            change(service, ChangeAction::Define, format!("added, not started: {why}"))
        }
    }
}

fn change(service: &Service, action: ChangeAction, because: String) -> ServiceChange {
    let needs = service.depends_on.iter();
    let needs =
        needs.map(|(name, condition)| Dependency { service: name.clone(), condition: *condition });
    let wanted = service.ports.iter().filter_map(|port| Some((port.name.clone(), port.wanted?)));
    ServiceChange {
        ports: service.ports.iter().map(|port| (port.name.clone(), port.number)).collect(),
        preferred_ports: wanted.collect(),
        moved: service.ports.iter().filter_map(|port| port.moved.clone()).collect(),
        waits_for: needs.collect(),
        ..ServiceChange::new(service.name.clone(), action, because)
    }
}
