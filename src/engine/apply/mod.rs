mod diff;
mod plan;
mod rename;

use std::sync::Arc;

use super::run_state::{RunStage, RunState};
use super::service_state::{DesiredState, EngineTime, ServiceState};
use super::start_order::selected;
use super::{Effect, Engine};
use crate::model::{Cause, ChangeAction, Event, EventKind, Name, Plan, ServiceChange, Stack};
use diff::MODE;

/// Replaces the stack. Nothing starts or stops here.
impl Engine {
    pub(super) fn apply(&mut self, now: EngineTime, stack: Arc<Stack>, effects: &mut Vec<Effect>) {
        if let Some(plan) = self.replace_stack(now, stack, effects) {
            emit_applied(plan, effects);
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
        let plan = self.plan(&stack, &renamed, &base);
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
            state.desired = state.desired_after(base.get(name));
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
        state.saves.reset_loop_detection();
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

    /// Continues a service under a new name. What the user did to it stays in effect, and it starts
    /// only when nothing runs under the former name: it is one service and must not run twice.
    fn continue_as(&mut self, name: &Name, former: &Name) {
        let Some(old) = self.services.get_mut(former) else { return };
        let want = std::mem::replace(&mut old.desired, DesiredState::Removed);
        let live = old.live().is_some();
        let after = if live { Some(former.clone()) } else { old.renamed_from.clone() };
        let Some(state) = self.services.get_mut(name) else { return };
        state.renamed_from = after.filter(|after| after != name);
        match want {
            DesiredState::Stopped | DesiredState::Yes(Cause::Requested(_)) => state.desired = want,
            DesiredState::No | DesiredState::Removed | DesiredState::Yes(_) => {}
        }
    }
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
    /// Restarts readiness probing after `ready` changed, unless the run is ready already.
    fn restart_probes(&mut self, now: EngineTime, effects: &mut Vec<Effect>) {
        let RunState::Live(live) = &mut self.state else { return };
        let (RunStage::Starting { spawned, .. } | RunStage::Late { spawned, .. }) = live.stage
        else {
            return;
        };
        let unprobed = self.service.kind.is_task() && self.service.ready.probes.is_empty();
        if !unprobed {
            effects.push(Effect::StartReadyProbes(live.facts.id, self.service.clone()));
        }
        live.facts.probe_failure = None;
        let unlimited = unprobed || live.in_debug_mode();
        let ready_by = (!unlimited).then(|| now + self.service.ready.timeout);
        live.stage = RunStage::Starting { spawned, ready_by };
    }
}
