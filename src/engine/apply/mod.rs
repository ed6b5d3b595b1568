mod diff;
mod plan;
mod port_moves;
mod rename;

use std::path::Path;
use std::sync::Arc;

use super::run_state::RunStage;
use super::service_state::{DesiredState, EngineTime, ServiceState};
use super::start_order::selected;
use super::{Effect, Engine};
use crate::model::{
    Cause, ChangeAction, DirMove, Event, EventKind, Name, Plan, ServiceChange, Stack,
};
use diff::MODE;

/// Replaces the stack. Nothing starts or stops here.
impl Engine {
    pub(super) fn apply(&mut self, now: EngineTime, stack: Arc<Stack>, effects: &mut Vec<Effect>) {
        if let Some(plan) = self.replace_stack(now, stack, effects) {
            emit_applied(plan, effects);
        }
    }

    /// Takes the same stack at another path: what runs is in the same directory and goes on.
    pub(super) fn relocate(&mut self, stack: Arc<Stack>, effects: &mut Vec<Effect>) {
        let Some(old) = self.stack.replace(stack.clone()) else { return };
        let moved = DirMove { from: old.dir.clone(), to: stack.dir.clone() };
        for (name, service) in &stack.services {
            let Some(state) = self.services.get_mut(name) else { continue };
            state.service = service.clone();
            state.former_data = state.former_data.as_deref().map(|dir| moved.path(dir));
            state.renew_probes(effects);
        }
    }

    /// Returns what changed; `None` during a shutdown and for the first stack.
    pub(super) fn replace_stack(
        &mut self,
        now: EngineTime,
        stack: Arc<Stack>,
        effects: &mut Vec<Effect>,
    ) -> Option<Plan> {
        if self.shutdown.is_some() {
            return None;
        }
        let renamed = self.renamed(&stack);
        let selection = self.selection_after(&stack, &renamed);
        let base = selected(&stack, selection.as_ref());
        let mut plan = self.plan(&stack, &renamed, &base);
        plan.changes.retain(|change| self.accepts(now, change, effects));
        for (name, service) in &stack.services {
            let state = self
                .services
                .entry(name.clone())
                .or_insert_with(|| ServiceState::new(service.clone(), DesiredState::No, now));
            let unready = state.service.ready != service.ready;
            let looked_after = state.service.health != service.health;
            let built =
                state.service.watch != service.watch || state.service.launch != service.launch;
            state.service = service.clone();
            if built {
                state.requeue();
            }
            if service.mode.is_debug() {
                state.saves.defer_all();
            }
            if looked_after {
                state.restart_health_probes(now, effects);
            }
            if unready {
                state.restart_probes(now, effects);
            }
            state.desired = state.desired_after(base.get(name), service);
        }
        plan.changes.iter().for_each(|change| self.apply_change(change));
        let first = self.stack.is_none();
        self.applied_once |= !first && !plan.is_empty();
        self.stack = Some(stack);
        self.selection = selection;
        self.update_order();
        (!first).then_some(plan)
    }

    fn apply_change(&mut self, change: &ServiceChange) {
        if let Some(former) = &change.renamed_from {
            self.continue_as(&change.service, former);
        }
        let Some(state) = self.services.get_mut(&change.service) else { return };
        if !restarts_with_env(change) {
            state.saves.reset_loop_detection();
        }
        match change.action {
            ChangeAction::Add | ChangeAction::Rename | ChangeAction::Stop => state.clear_wait(),
            ChangeAction::Start if change.fields.is_empty() => state.clear_wait(),
            ChangeAction::Start | ChangeAction::Restart => {
                state.restart_with(Cause::ConfigChanged(change.reason.clone()));
            }
            ChangeAction::Remove => state.desired = DesiredState::Removed,
            ChangeAction::Define | ChangeAction::Update | ChangeAction::Prepare => {}
        }
    }

    /// Whether a change has its effect now, instead of at the next start: not if the service keeps
    /// changing its own environment.
    fn accepts(
        &mut self,
        now: EngineTime,
        change: &ServiceChange,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let state = self.services.get_mut(&change.service);
        let Some(state) = state.filter(|_| restarts_with_env(change)) else { return true };
        state.accepts_env_change(now, &change.variables, effects)
    }

    /// Continues a service under a new name. What the user did to it stays in effect, and it starts
    /// only when nothing runs under the former name: it is one service and must not run twice.
    fn continue_as(&mut self, name: &Name, former: &Name) {
        let Some(old) = self.services.get_mut(former) else { return };
        let want = std::mem::replace(&mut old.desired, DesiredState::Removed);
        old.renamed_to = Some(name.clone());
        let of_former = || old.service.data_dir().map(Path::to_owned);
        let data = old.former_data.clone().or_else(of_former);
        let live = old.live().is_some();
        let after = if live { Some(former.clone()) } else { old.renamed_from.clone() };
        let Some(state) = self.services.get_mut(name) else { return };
        state.renamed_from = after.filter(|after| after != name);
        state.renamed_to = None;
        state.former_data = data;
        match want {
            DesiredState::Stopped | DesiredState::Yes(Cause::Requested(_)) => state.desired = want,
            DesiredState::No
            | DesiredState::Removed
            | DesiredState::Asleep(_)
            | DesiredState::Yes(_) => {}
        }
    }
}

/// Whether a service starts again because its environment changed.
fn restarts_with_env(change: &ServiceChange) -> bool {
    let starts = match change.action {
        ChangeAction::Restart | ChangeAction::Start => true,
        ChangeAction::Add
        | ChangeAction::Define
        | ChangeAction::Prepare
        | ChangeAction::Remove
        | ChangeAction::Rename
        | ChangeAction::Stop
        | ChangeAction::Update => false,
    };
    starts && !change.variables.is_empty()
}

/// Emits the plan unless it is empty.
fn emit_applied(mut plan: Plan, effects: &mut Vec<Effect>) {
    // Switching the mode changes no configuration; the service reports it itself.
    plan.changes.retain(|change| change.fields != [MODE]);
    if !plan.is_empty() {
        effects.push(Effect::Emit(Event { service: None, what: EventKind::Applied(plan) }));
    }
}

impl ServiceState {
    /// Starts the probes of the live run again: their commands have paths.
    fn renew_probes(&self, effects: &mut Vec<Effect>) {
        match self.stage() {
            Some(RunStage::Starting { .. } | RunStage::Late { .. }) => {
                self.probe_readiness(effects)
            }
            Some(RunStage::Ready { .. } | RunStage::Unhealthy { .. }) => {
                if self.service.health.is_some() {
                    self.probe_health(effects);
                }
            }
            Some(
                RunStage::Launching { .. } | RunStage::Stopping { .. } | RunStage::Draining { .. },
            )
            | None => {}
        }
    }

    /// Restarts readiness probing after `ready` changed, unless the run is ready already.
    fn restart_probes(&mut self, now: EngineTime, effects: &mut Vec<Effect>) {
        let ready_by = self.ready_by(now);
        let Some(RunStage::Starting { spawned, .. } | RunStage::Late { spawned, .. }) =
            self.stage()
        else {
            return;
        };
        let stage = RunStage::Starting { spawned: *spawned, ready_by };
        self.probe_readiness(effects);
        if let Some(live) = self.live_mut() {
            live.facts.probe_failure = None;
            live.stage = stage;
        }
    }
}
