use std::collections::BTreeMap;

use super::diff::ServiceDiff;
use super::port_moves::PortMoves;
use super::rename::detect_renames;
use crate::engine::run_state::{RunState, ServiceOutcome};
use crate::engine::service_state::{DesiredState, ServiceState};
use crate::engine::start_order::{selected, start_order};
use crate::engine::{Engine, Selection};
use crate::model::{
    Cause, ChangeAction, Dependency, Name, Plan, RestartPolicy, Service, ServiceChange, Stack,
};

/// Computes what a new configuration changes, for the engine, the log and `devstack plan`.
impl Engine {
    /// Returns what applying `stack` would change.
    pub fn preview(&self, stack: &Stack) -> Plan {
        let renamed = self.renamed(stack);
        let selection = self.selection_after(stack, &renamed);
        self.plan(stack, &renamed, &selected(stack, selection.as_ref()))
    }

    /// Returns the services that `stack` renames, by their new names.
    pub(super) fn renamed(&self, stack: &Stack) -> BTreeMap<Name, Name> {
        self.stack.as_ref().map_or_else(BTreeMap::new, |old| detect_renames(old, stack))
    }

    /// Returns what `up` was asked to start, with the names it has in `stack`.
    pub(super) fn selection_after(
        &self,
        stack: &Stack,
        renamed: &BTreeMap<Name, Name>,
    ) -> Option<Selection> {
        let (selection, old) = (self.selection.clone()?, self.stack.as_ref());
        Some(old.map_or(selection.clone(), |old| selection.renamed(renamed, old, stack)))
    }

    /// Returns what applying `stack` changes; `base` is what a fresh start of it would run, and
    /// why.
    pub(super) fn plan(
        &self,
        stack: &Stack,
        renamed: &BTreeMap<Name, Name>,
        base: &BTreeMap<Name, Cause>,
    ) -> Plan {
        let mut plan = Plan::default();
        let moves = self.stack.as_ref().map(|old| PortMoves::between(old, stack));
        let moves = moves.unwrap_or_default();
        let old = self.stack.iter().flat_map(|old| old.services.keys());
        let gone = old.filter(|name| !stack.services.contains_key(*name));
        for name in gone.filter(|name| renamed.values().all(|former| former != *name)) {
            plan.changes.push(ServiceChange::new(name.clone(), ChangeAction::Remove, "removed"));
        }
        for name in start_order(&stack.services) {
            let service = &stack.services[name];
            let known = self.stack.as_ref().is_some_and(|old| old.services.contains_key(name));
            let change = match (renamed.get(name), self.services.get(name).filter(|_| known)) {
                (Some(former), _) => Some(self.rename(former, service, base.get(name))),
                (None, None) => Some(added(service, base.get(name))),
                (None, Some(state)) => state.change(service, base.get(name), &moves),
            };
            let runs_on =
                change.as_ref().is_none_or(|change| change.action == ChangeAction::Update);
            if runs_on && self.services.get(name).is_some_and(|state| state.live().is_some()) {
                plan.unchanged.push(name.clone());
            }
            plan.changes.extend(change);
        }
        plan.unchanged.sort_unstable();
        plan
    }

    fn rename(&self, former: &Name, service: &Service, base: Option<&Cause>) -> ServiceChange {
        let state = self.services.get(former);
        let starts = match state.map(|state| state.desired_after(base, service)) {
            Some(want) => want.is_yes(),
            None => base.is_some(),
        };
        let live = state.is_some_and(|state| state.live().is_some());
        let action = if starts || live { ChangeAction::Rename } else { ChangeAction::Define };
        let because = format!("renamed from {former}");
        ServiceChange { renamed_from: Some(former.clone()), ..change(service, action, because) }
    }
}

impl ServiceState {
    /// Returns the desired state after an apply that makes it `service`; `base` is why a fresh start
    /// would run it. Explicit user requests stay in effect, and what is awake stays awake.
    pub fn desired_after(&self, base: Option<&Cause>, service: &Service) -> DesiredState {
        let (why, awake) = match &self.desired {
            DesiredState::Stopped => return DesiredState::Stopped,
            DesiredState::Yes(why @ Cause::Requested(_)) => (Some(why), true),
            DesiredState::Asleep(why @ Cause::Requested(_)) => (Some(why), false),
            DesiredState::Yes(_) => (base, true),
            DesiredState::No | DesiredState::Removed | DesiredState::Asleep(_) => (base, false),
        };
        match why.cloned() {
            None => DesiredState::No,
            Some(why) if awake || service.lazy.is_none() => DesiredState::Yes(why),
            Some(why) => DesiredState::Asleep(why),
        }
    }

    /// Returns the change that the new definition `service` causes, if any.
    fn change(
        &self,
        service: &Service,
        base: Option<&Cause>,
        moves: &PortMoves,
    ) -> Option<ServiceChange> {
        let difference = ServiceDiff::between(&self.service, service, moves);
        let next = self.desired_after(base, service);
        let action = match (self.wanted(), &next) {
            (true, DesiredState::Yes(_)) if difference.is_empty() => return None,
            (true, DesiredState::Yes(_)) => self.action_for(&difference, service),
            (false, DesiredState::Yes(_)) => ChangeAction::Start,
            (true, _) => ChangeAction::Stop,
            (false, _) if difference.is_empty() => return None,
            (false, _) => self.deferred_action(),
        };
        let because = match (&next, difference.is_empty()) {
            (_, false) => difference.summary(),
            (DesiredState::Yes(cause) | DesiredState::Asleep(cause), true) => cause.to_string(),
            (DesiredState::No | DesiredState::Stopped | DesiredState::Removed, true) => {
                "no longer needed".into()
            }
        };
        let fields = difference.fields.iter().map(|field| (*field).to_owned()).collect();
        let variables = difference.variables;
        Some(ServiceChange { fields, variables, ..change(service, action, because) })
    }

    /// Returns how a service that stays wanted takes a difference.
    fn action_for(&self, difference: &ServiceDiff, service: &Service) -> ChangeAction {
        let restart = !difference.restart.is_empty();
        match &self.state {
            RunState::Live(_) if restart => ChangeAction::Restart,
            // The change may be the fix.
            RunState::BackingOff { .. } | RunState::Finished(ServiceOutcome::Failed(_)) => {
                ChangeAction::Start
            }
            RunState::Finished(ServiceOutcome::Done(_)) => match service.restart.policy {
                _ if restart => ChangeAction::Start,
                RestartPolicy::Always => ChangeAction::Start,
                RestartPolicy::No | RestartPolicy::OnFailure => ChangeAction::Prepare,
            },
            RunState::Idle | RunState::Live(_) | RunState::AwaitingPort { .. } => {
                self.deferred_action()
            }
        }
    }

    /// Returns how a service takes a difference that does not affect whether it runs.
    fn deferred_action(&self) -> ChangeAction {
        if self.live().is_some() { ChangeAction::Update } else { ChangeAction::Prepare }
    }
}

fn added(service: &Service, base: Option<&Cause>) -> ServiceChange {
    match base {
        Some(_) if service.lazy.is_some() => {
            change(service, ChangeAction::Define, "added, asleep".to_owned())
        }
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
