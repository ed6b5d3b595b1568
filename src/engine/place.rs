use std::collections::BTreeMap;
use std::sync::Arc;

use super::slot::{Outcome, Slot, State, Time, Verdict};
use super::{Effect, Engine, Excuse};
use crate::model::{Cause, EventKind, Message, MessageClass, Name, OnExit, RunId, Stack};

/// A service fails after losing this many ports in a row: one lost race is just bad luck.
const MOST_ROBBERIES: u32 = 10;

/// Lost races for a port. They do not count as crashes: the service waits for another port.
impl Engine {
    pub(super) fn robbed(&mut self, run: RunId, message: Message, effects: &mut Vec<Effect>) {
        let ending = self.ending.is_some();
        let Some(slot) = self.current(run) else { return };
        match &slot.state {
            State::Launching { .. } => {
                slot.runs -= 1;
                slot.state = slot.displaced(message, ending, effects);
                self.runs.remove(&run);
            }
            // A stop was ordered before it was spawned.
            State::Stopping { pid: None, .. } => {
                slot.state = State::Idle;
                self.runs.remove(&run);
            }
            State::Starting { .. } | State::Late { .. } => {
                if slot.restart.is_none() {
                    slot.restart = Some(Cause::PortLost(message));
                }
            }
            // Only its debugger can lack a port now: no reason to stop a running service.
            State::Ready { .. } | State::Unwell { .. } if slot.is_debugged() => {
                slot.note.get_or_insert_with(|| message.clone());
                slot.say(EventKind::Note(message), effects);
            }
            State::Idle
            | State::Ready { .. }
            | State::Unwell { .. }
            | State::Stopping { .. }
            | State::Draining { .. }
            | State::Backoff { .. }
            | State::Displaced { .. }
            | State::Over(_) => {}
        }
    }

    pub(super) fn examined(
        &mut self,
        now: Time,
        run: RunId,
        excuse: Excuse,
        effects: &mut Vec<Effect>,
    ) {
        let ending = self.ending.is_some();
        let Some(slot) = self.current(run) else { return };
        let State::Draining { verdict: Verdict::Unclear(exit), .. } = slot.state else { return };
        let renewed = slot.restart.take().is_some();
        let mut ends_stack = false;
        slot.state = match excuse {
            Excuse::Robbed(_) | Excuse::Unheld(_) | Excuse::None if renewed => State::Idle,
            Excuse::Robbed(message) => slot.displaced(message, ending, effects),
            Excuse::Unheld(message) => {
                slot.because = Some(Cause::PortReservationDropped(message.text));
                State::Idle
            }
            Excuse::None => {
                ends_stack = slot.service.on_exit == OnExit::Shutdown;
                slot.after_unexpected(now, exit, ending || ends_stack)
            }
        };
        if ends_stack {
            let why = format!("{} exited ({exit})", slot.service.name);
            self.end(now, why, exit.exit_code(), super::Haste::Polite);
        }
        self.runs.remove(&run);
    }

    pub(super) fn placed(
        &mut self,
        now: Time,
        stack: Arc<Stack>,
        outcome: BTreeMap<Name, Result<(), Message>>,
        effects: &mut Vec<Effect>,
    ) {
        // The configuration did not change, so no plan is emitted.
        self.take_over(now, stack, self.selection.clone(), effects);
        for (name, placed) in outcome {
            let Some(slot) = self.slots.get_mut(&name) else { continue };
            let State::Displaced { message } = &slot.state else { continue };
            slot.state = match placed {
                Ok(()) => {
                    slot.because = Some(Cause::PortLost(message.clone()));
                    State::Idle
                }
                Err(message) => State::Over(Outcome::Failed(message)),
            };
        }
    }
}

impl Slot {
    /// Whether the current run may have exited because it lost a port before it was ready.
    pub(super) fn lacks_port(&self) -> bool {
        self.ready_after.is_none() && !self.launched.ports.is_empty()
    }

    /// Returns the next state after a port was lost and nothing of the service runs.
    pub(super) fn displaced(
        &mut self,
        message: Message,
        ending: bool,
        effects: &mut Vec<Effect>,
    ) -> State {
        if ending || !self.wanted() {
            return State::Idle;
        }
        self.robberies += 1;
        if self.robberies > MOST_ROBBERIES {
            let text = format!(
                "lost its port to another process {MOST_ROBBERIES} times in a row; last: {}",
                message.text
            );
            let help = format!(
                "stop the processes that take its port, then run `devstack restart {}`",
                self.service.name
            );
            return State::Over(Outcome::Failed(Message::new(MessageClass::Port, text).help(help)));
        }
        effects.push(Effect::Place(self.service.name.clone()));
        State::Displaced { message }
    }
}
