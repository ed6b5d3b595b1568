use std::sync::Arc;

use super::difference::MODE;
use super::order::wanted;
use super::slot::{Slot, State, Time, Want};
use super::{Effect, Engine, Selection};
use crate::model::{
    Cause, ChangeAction, Event, EventKind, Name, Plan, ServiceChange, ServiceKind, Stack,
};

/// Replaces the stack. Nothing starts or stops here.
impl Engine {
    pub(super) fn apply(
        &mut self,
        now: Time,
        stack: Arc<Stack>,
        selection: Option<Selection>,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(plan) = self.take_over(now, stack, selection, effects) {
            announce(plan, effects);
        }
    }

    /// Returns what changed; `None` during a shutdown and for the first stack.
    pub(super) fn take_over(
        &mut self,
        now: Time,
        stack: Arc<Stack>,
        selection: Option<Selection>,
        effects: &mut Vec<Effect>,
    ) -> Option<Plan> {
        if self.ending.is_some() {
            return None;
        }
        let plan = self.plan(&stack, selection.as_ref());
        let base = wanted(&stack, selection.as_ref());
        for (name, service) in &stack.services {
            let slot = self
                .slots
                .entry(name.clone())
                .or_insert_with(|| Slot::new(service.clone(), Want::No, now));
            let unready = slot.service.ready != service.ready;
            let looked_after = slot.service.health != service.health;
            let built =
                slot.service.watch != service.watch || slot.service.launch != service.launch;
            slot.service = service.clone();
            if built {
                slot.rebuild();
            }
            if service.mode.is_debug() {
                slot.saves.hold();
            }
            if looked_after {
                slot.look_after_anew(now, effects);
            }
            if unready {
                slot.probe_anew(now, effects);
            }
            slot.want = slot.next_want(base.get(name));
        }
        plan.changes.iter().for_each(|change| self.carry(change));
        let first = self.stack.is_none();
        self.changed |= !first && !plan.is_empty();
        self.stack = Some(stack);
        self.selection = selection;
        self.sort();
        (!first).then_some(plan)
    }

    fn carry(&mut self, change: &ServiceChange) {
        if let Some(former) = &change.renamed_from {
            self.succeed(&change.service, former);
        }
        let Some(slot) = self.slots.get_mut(&change.service) else { return };
        slot.saves.trust();
        match change.action {
            ChangeAction::Add | ChangeAction::Rename | ChangeAction::Stop => slot.rearm(),
            ChangeAction::Start if change.fields.is_empty() => slot.rearm(),
            ChangeAction::Start | ChangeAction::Restart => {
                slot.renew(Cause::ConfigChanged(change.reason.clone()));
            }
            ChangeAction::Remove => slot.want = Want::Removed,
            ChangeAction::Define | ChangeAction::Update | ChangeAction::Prepare => {}
        }
    }

    /// Continues a service under a new name. What the user did to it stays in effect, and it starts
    /// only when nothing runs under the former name: it is one service and must not run twice.
    fn succeed(&mut self, name: &Name, former: &Name) {
        let Some(old) = self.slots.get_mut(former) else { return };
        let want = std::mem::replace(&mut old.want, Want::Removed);
        let live = old.live_run().is_some();
        let after = if live { Some(former.clone()) } else { old.after.clone() };
        let Some(slot) = self.slots.get_mut(name) else { return };
        slot.after = after.filter(|after| after != name);
        match want {
            Want::Stopped | Want::Yes(Cause::Requested(_)) => slot.want = want,
            Want::No | Want::Removed | Want::Yes(_) => {}
        }
    }
}

/// Emits the plan unless it is empty.
fn announce(mut plan: Plan, effects: &mut Vec<Effect>) {
    // Switching the mode changes no configuration; the service reports it itself.
    plan.changes.retain(|change| change.fields != [MODE]);
    if !plan.is_empty() {
        effects.push(Effect::Tell(Event { service: None, what: EventKind::Applied(plan) }));
    }
}

impl Slot {
    /// Restarts readiness probing after `ready` changed, unless the run is ready already.
    fn probe_anew(&mut self, now: Time, effects: &mut Vec<Effect>) {
        let (State::Starting { run, pid, spawned, .. } | State::Late { run, pid, spawned, .. }) =
            self.state
        else {
            return;
        };
        let unprobed =
            self.service.kind == ServiceKind::Task && self.service.ready.probes.is_empty();
        if !unprobed {
            effects.push(Effect::Probe(run, self.service.clone()));
        }
        self.failing = None;
        let unlimited = unprobed || self.launched.mode.is_debug();
        let ready_by = (!unlimited).then(|| now + self.service.ready.timeout);
        self.state = State::Starting { run, pid, spawned, ready_by };
    }
}
