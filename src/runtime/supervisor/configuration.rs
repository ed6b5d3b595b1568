//! Turns reload results into engine inputs.

use tokio::sync::oneshot;

use super::Supervisor;
use super::switch::unable;
use crate::engine::Input;
use crate::model::{Message, MessageClass, Plan, PlanView, Stack};
use crate::runtime::log::narrate;
use crate::runtime::reload::{
    Made, Present, Previewed, Reloaded, Situation, debugged_in, ports_of,
};

/// Reply channel of a plan request.
pub(super) type TellPlan = oneshot::Sender<Result<PlanView, Message>>;

impl Supervisor {
    /// Starts a preview for `devstack plan`.
    pub(super) fn preview(&self, tell: TellPlan) {
        let back = self.previewed.0.clone();
        self.reloader.preview(self.present(), move |found| {
            // The supervisor may have finished meanwhile.
            let _ = back.send((found, tell));
        });
    }

    pub(super) fn present(&self) -> Present {
        Present::of(&self.stack, self.situation())
    }

    /// Constraints for a stack made now.
    pub(super) fn situation(&self) -> Situation {
        let mut running = self.engine.running();
        // Between two runs devstack itself is listening.
        running.extend(self.hands.passing());
        let debugged = debugged_in(&self.stack);
        Situation {
            mine: ports_of(&self.stack, |name| running.contains(name)),
            selection: self.selection.clone(),
            idle: self.engine.unwanted(),
            asked: Default::default(),
            known: self.reloader.known(&debugged),
            debugged,
        }
    }

    /// Compares a preview with the running stack.
    pub(super) fn planned(&self, found: Previewed) -> Result<PlanView, Message> {
        if self.engine.is_ending() {
            return Err(Message::new(MessageClass::NotRunning, "the stack is stopping"));
        }
        let (stack, notes) = found?;
        let plan = self.plan(&stack);
        Ok(PlanView {
            version: 1,
            stack: self.stack.name.clone(),
            dir: self.stack.dir.clone(),
            running: true,
            live: self.stack.live_reload && self.reloader.follows,
            plan,
            notes,
        })
    }

    fn plan(&self, stack: &Stack) -> Plan {
        self.engine.plan(stack, self.selection.as_ref())
    }

    pub(super) fn take_reloaded(&mut self, reloaded: Reloaded, inputs: &mut Vec<Input>) {
        let draft = match &reloaded {
            Reloaded::Stack(Made { draft, .. }) | Reloaded::Switched(Made { draft, .. }) => {
                Some(draft)
            }
            Reloaded::NotSwitched(_)
            | Reloaded::Waits(_)
            | Reloaded::Broken { .. }
            | Reloaded::Placed { .. } => None,
        };
        self.reloader.finished(draft);
        if self.engine.is_ending() {
            return;
        }
        match reloaded {
            Reloaded::Stack(Made { stack, mut notes, draft: _, debugged }) => {
                notes.extend(unable(&stack, &debugged));
                self.notes(notes);
                let plan = self.plan(&stack);
                let mended = std::mem::take(&mut self.broken);
                self.waits = Plan::default();
                if self.stack.live_reload != stack.live_reload {
                    self.logs.write_status(narrate::live(stack.live_reload));
                } else if mended && plan.is_empty() {
                    self.logs.write_status(narrate::config_fixed());
                }
                self.selection = self
                    .selection
                    .take()
                    .map(|selection| selection.renamed(&plan, &self.stack, &stack));
                self.stack = stack.clone();
                self.logs.set_retention(stack.logs);
                self.watch();
                let selection = self.selection.clone();
                inputs.push(Input::Apply { stack, selection });
            }
            Reloaded::Switched(made) => self.switched(made, inputs),
            Reloaded::NotSwitched(why) => self.not_switched(&why),
            Reloaded::Waits(stack) => self.hold(&stack),
            Reloaded::Placed { stack, outcome, notes } => {
                notes.into_iter().for_each(|note| self.note(note));
                self.stack = stack.clone();
                inputs.push(Input::PortsReassigned { stack, outcome });
            }
            Reloaded::Broken { why, text, files } => {
                self.broken = true;
                self.logs.write_status(narrate::not_applied(why, &text));
                self.hands.watch(&self.stack, &files);
            }
        }
    }

    /// Keeps a valid configuration that is not applied. Reports when it starts or stops making a
    /// difference.
    fn hold(&mut self, stack: &Stack) {
        let plan = self.plan(stack);
        let before = std::mem::replace(&mut self.waits, plan.clone());
        let mended = std::mem::take(&mut self.broken);
        if !plan.is_empty() && (mended || plan != before) {
            self.logs.write_status(narrate::config_not_applied());
        } else if plan.is_empty() && (mended || !before.is_empty()) {
            self.logs.write_status(narrate::config_matches());
        }
        self.hands.watch(&self.stack, &stack.files);
    }
}
