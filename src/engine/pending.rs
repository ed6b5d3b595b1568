use super::input::{Ticket, WaitUntil};
use super::slot::{DebuggerState, DesiredState, RunState, ServiceOutcome, ServiceState};
use super::{BlockedServices, Effect, Engine};
use crate::model::{Message, MessageClass, Name, RunId};

/// A request that was accepted and is not answered yet.
#[derive(Debug, Clone)]
pub(super) struct PendingRequest {
    pub ticket: Ticket,
    pub goal: RequestGoal,
    pub names: Vec<Name>,
}

/// What a request waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestGoal {
    /// Each is ready or done, in any run.
    Up,
    /// Each is ready or done, in this run or a later one.
    Renewed(RunId),
    /// A debugger can attach to each, or it is ready or done in debug mode.
    Debugged,
    /// Each that runs is ready or done in run mode.
    Undebugged,
    Down,
    /// Nothing is left of the stack.
    End,
    /// A condition that a client waits for.
    Until(WaitUntil),
}

pub(super) enum GoalStatus {
    Yet,
    True,
    Never(Message),
}

impl Engine {
    /// Answers every request that is fulfilled or never will be.
    pub(super) fn answer_requests(&mut self, blocked: &BlockedServices, effects: &mut Vec<Effect>) {
        let pending = std::mem::take(&mut self.requests);
        for one in pending {
            let names = self.affected_services(&one);
            let mut open = one.goal == RequestGoal::End;
            let mut refusal = None;
            for name in &names {
                match self.goal_status(one.goal, name, blocked.get(name)) {
                    GoalStatus::Yet => open = true,
                    GoalStatus::True => {}
                    GoalStatus::Never(message) => refusal = refusal.or(Some(message)),
                }
            }
            match refusal {
                Some(message) => effects.push(Effect::Answer(one.ticket, Err(message))),
                None if open => self.requests.push(one),
                None => effects
                    .push(Effect::Answer(one.ticket, Ok(self.success_text(one.goal, &names)))),
            }
        }
    }

    /// Answers all remaining requests before the engine exits.
    pub(super) fn answer_remaining(&mut self, effects: &mut Vec<Effect>) {
        for one in std::mem::take(&mut self.requests) {
            let answer = match one.goal {
                RequestGoal::End | RequestGoal::Down | RequestGoal::Until(WaitUntil::Stopped) => {
                    Ok(self.success_text(one.goal, &self.affected_services(&one)))
                }
                RequestGoal::Up
                | RequestGoal::Renewed(_)
                | RequestGoal::Debugged
                | RequestGoal::Undebugged
                | RequestGoal::Until(WaitUntil::Up | WaitUntil::Ready | WaitUntil::Completed) => {
                    Err(shutting_down_error())
                }
            };
            effects.push(Effect::Answer(one.ticket, answer));
        }
    }

    fn success_text(&self, goal: RequestGoal, about: &[Name]) -> String {
        let names: Vec<&str> = about.iter().map(Name::as_str).collect();
        let names = names.join(", ");
        match goal {
            RequestGoal::Until(until) => self.wait_text(until, about),
            RequestGoal::Up => format!("started {names}"),
            RequestGoal::Renewed(_) => format!("restarted {names}"),
            RequestGoal::Debugged => {
                let slots = about.iter().filter_map(|name| self.services.get(name));
                let told: Vec<String> = slots.map(ServiceState::describe_debug).collect();
                told.join("; ")
            }
            RequestGoal::Undebugged => format!("{names}: in run mode"),
            RequestGoal::Down => format!("stopped {names}"),
            RequestGoal::End => "stopped the stack".to_owned(),
        }
    }

    fn goal_status(&self, goal: RequestGoal, name: &Name, blocked: Option<&Message>) -> GoalStatus {
        let Some(slot) = self.services.get(name) else {
            return match goal {
                RequestGoal::Down | RequestGoal::End => GoalStatus::True,
                RequestGoal::Until(until) => self.wait_status(until, name, blocked),
                RequestGoal::Up
                | RequestGoal::Renewed(_)
                | RequestGoal::Debugged
                | RequestGoal::Undebugged => {
                    let text = format!("{name} was removed from the configuration");
                    GoalStatus::Never(Message::new(MessageClass::Busy, text))
                }
            };
        };
        match goal {
            RequestGoal::End => GoalStatus::Yet,
            RequestGoal::Until(until) => self.wait_status(until, name, blocked),
            RequestGoal::Down if slot.wanted() => {
                let text = format!("{name} was started again before it stopped");
                GoalStatus::Never(Message::new(MessageClass::Busy, text))
            }
            RequestGoal::Down if slot.is_live() => GoalStatus::Yet,
            RequestGoal::Down => GoalStatus::True,
            RequestGoal::Up => goal_reached(slot, RunId(0), blocked, self.shutdown.is_some()),
            RequestGoal::Renewed(run) => goal_reached(slot, run, blocked, self.shutdown.is_some()),
            RequestGoal::Debugged if slot.is_debugged() && slot.pending_restart.is_none() => {
                match slot.debugger {
                    DebuggerState::Seen | DebuggerState::Missed => GoalStatus::True,
                    DebuggerState::Unknown | DebuggerState::Awaited(_) => GoalStatus::Yet,
                }
            }
            RequestGoal::Debugged => goal_reached(slot, RunId(0), blocked, self.shutdown.is_some()),
            RequestGoal::Undebugged if !slot.wanted() => GoalStatus::True,
            RequestGoal::Undebugged => {
                goal_reached(slot, RunId(0), blocked, self.shutdown.is_some())
            }
        }
    }
}

fn goal_reached(
    slot: &ServiceState,
    least: RunId,
    blocked: Option<&Message>,
    ending: bool,
) -> GoalStatus {
    let fresh = slot.run.is_some_and(|run| run >= least);
    if ending {
        return GoalStatus::Never(self::shutting_down_error());
    }
    match slot.desired {
        DesiredState::Stopped | DesiredState::No | DesiredState::Removed => {
            let text = format!("{} was stopped before it was ready", slot.service.name);
            return GoalStatus::Never(Message::new(MessageClass::Busy, text));
        }
        DesiredState::Yes(_) => {}
    }
    match &slot.state {
        RunState::Ready { .. } if fresh && slot.pending_restart.is_none() => GoalStatus::True,
        // It waits for a debugger, and the client may be the one to attach it.
        RunState::Starting { .. }
            if fresh && slot.pending_restart.is_none() && slot.awaits_debugger() =>
        {
            GoalStatus::True
        }
        RunState::Over(ServiceOutcome::Done(_)) if fresh => GoalStatus::True,
        RunState::Over(ServiceOutcome::Failed(message)) if fresh => {
            GoalStatus::Never(message.clone())
        }
        RunState::Late { message, .. } if fresh && slot.pending_restart.is_none() => {
            GoalStatus::Never(message.clone())
        }
        RunState::Idle => match blocked {
            Some(message) => GoalStatus::Never(message.clone()),
            None => GoalStatus::Yet,
        },
        RunState::Launching { .. }
        | RunState::Starting { .. }
        | RunState::Late { .. }
        | RunState::Ready { .. }
        | RunState::Unwell { .. }
        | RunState::Stopping { .. }
        | RunState::Draining { .. }
        | RunState::Backoff { .. }
        | RunState::Displaced { .. }
        | RunState::Over(_) => GoalStatus::Yet,
    }
}

/// Error for a request that a shutdown makes impossible.
pub(super) fn shutting_down_error() -> Message {
    Message::new(MessageClass::NotRunning, "the stack is stopping")
}
