//! Turns reload results into engine inputs.

use tokio::sync::oneshot;

use super::mode_switch::without_debug_entry;
use super::reload::{
    LoadConstraints, LoadedStack, PreviewResult, ReloadBaseline, ReloadOutcome, debugged_in,
    ports_of,
};
use super::status::event_lines;
use super::supervisor::Supervisor;
use crate::engine::Input;
use crate::model::{Message, MessageClass, Plan, PlanView, Stack};

/// Reply channel of a plan request.
pub(super) type PlanReply = oneshot::Sender<Result<PlanView, Message>>;

impl Supervisor {
    /// Starts a preview for `devstack plan`.
    pub(super) fn preview_plan(&self, tell: PlanReply) {
        let back = self.previewed.0.clone();
        self.reloader.preview(self.reload_baseline(), move |found| {
            // The supervisor may have finished meanwhile.
            let _ = back.send((found, tell));
        });
    }

    pub(super) fn reload_baseline(&self) -> ReloadBaseline {
        ReloadBaseline::of(self.stack(), self.load_constraints())
    }

    /// Constraints for a stack made now.
    pub(super) fn load_constraints(&self) -> LoadConstraints {
        let mut running = self.engine.running();
        // Between two runs devstack itself is listening.
        running.extend(self.executor.listens_for());
        let debugged = debugged_in(self.stack());
        LoadConstraints {
            held_ports: ports_of(self.stack(), |name| running.contains(name)),
            selection: self.engine.selection().cloned(),
            idle: self.engine.unwanted(),
            asked: Default::default(),
            known: self.reloader.known(&debugged),
            debugged,
        }
    }

    /// Compares a preview with the running stack.
    pub(super) fn planned(&self, found: PreviewResult) -> Result<PlanView, Message> {
        if self.engine.is_ending() {
            return Err(Message::new(MessageClass::NotRunning, "the stack is stopping"));
        }
        let (stack, notes) = found?;
        let now = self.stack();
        Ok(PlanView {
            version: 1,
            stack: now.name.clone(),
            dir: now.dir.clone(),
            running: true,
            live: now.live_reload && self.reloader.follows,
            plan: self.engine.preview(&stack),
            notes,
        })
    }

    pub(super) fn on_reload(&mut self, reloaded: ReloadOutcome, inputs: &mut Vec<Input>) {
        let Some(reloaded) = self.reloader.current(reloaded) else { return };
        let config = match &reloaded {
            ReloadOutcome::Stack(LoadedStack { config: draft, .. })
            | ReloadOutcome::Switched(LoadedStack { config: draft, .. }) => Some(draft),
            ReloadOutcome::NotSwitched(_)
            | ReloadOutcome::NotLive(_)
            | ReloadOutcome::Invalid { .. }
            | ReloadOutcome::PortsReassigned { .. }
            | ReloadOutcome::PortsReleased
            | ReloadOutcome::Panicked(_) => None,
        };
        self.reloader.finished(config);
        if self.engine.is_ending() {
            return;
        }
        match reloaded {
            ReloadOutcome::Stack(LoadedStack { stack, mut notes, config: _, debugged }) => {
                notes.extend(without_debug_entry(&stack, &debugged));
                self.load_notes(notes);
                let fixed = std::mem::take(&mut self.broken);
                self.unapplied = Plan::default();
                if self.stack().live_reload != stack.live_reload {
                    self.status.write(vec![event_lines::live(stack.live_reload)]);
                } else if fixed && self.engine.preview(&stack).is_empty() {
                    self.status.write(vec![event_lines::config_fixed()]);
                }
                self.logs.set_retention(stack.logs);
                self.executor.watch(&stack, &Default::default());
                inputs.push(Input::Apply(stack));
            }
            ReloadOutcome::Switched(made) => self.switched(made, inputs),
            ReloadOutcome::NotSwitched(why) => self.not_switched(&why),
            ReloadOutcome::NotLive(stack) => self.keep_unapplied(&stack),
            ReloadOutcome::PortsReassigned { stack, outcome, notes } => {
                notes.into_iter().for_each(|note| self.note(note));
                inputs.push(Input::PortsReassigned { stack, outcome });
            }
            ReloadOutcome::PortsReleased => {}
            ReloadOutcome::Panicked(bug) => self.note(bug),
            ReloadOutcome::Invalid { why, text, files } => {
                self.broken = true;
                // What cannot be loaded has no new values to restart with.
                self.awaiting_reload.retain(|_, path| !files.contains(path));
                self.status.write(vec![event_lines::not_applied(why, &text)]);
                let stack = self.stack().clone();
                self.executor.watch(&stack, &files);
            }
        }
        if !self.reloader.has_unread_changes() && !self.awaiting_reload.is_empty() {
            inputs.push(Input::FilesChanged(std::mem::take(&mut self.awaiting_reload)));
        }
    }

    /// Keeps a valid configuration that is not applied. Reports when it starts or stops making a
    /// difference.
    fn keep_unapplied(&mut self, stack: &Stack) {
        let plan = self.engine.preview(stack);
        let before = std::mem::replace(&mut self.unapplied, plan.clone());
        let mended = std::mem::take(&mut self.broken);
        if !plan.is_empty() && (mended || plan != before) {
            self.status.write(vec![event_lines::config_not_applied()]);
        } else if plan.is_empty() && (mended || !before.is_empty()) {
            self.status.write(vec![event_lines::config_matches()]);
        }
        let now = self.stack().clone();
        self.executor.watch(&now, &stack.files);
    }
}
