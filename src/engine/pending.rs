use super::input::{Ticket, Until};
use super::slot::{Listening, Outcome, Slot, State, Want};
use super::{Blocked, Effect, Engine};
use crate::model::{Message, MessageClass, Name, RunId};

/// A request that was accepted and is not answered yet.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    pub ticket: Ticket,
    pub goal: Goal,
    pub names: Vec<Name>,
}

/// What a request waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
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
    Until(Until),
}

pub(super) enum Verdict {
    Yet,
    True,
    Never(Message),
}

impl Engine {
    /// Answers every request that is fulfilled or never will be.
    pub(super) fn answer(&mut self, blocked: &Blocked, effects: &mut Vec<Effect>) {
        let pending = std::mem::take(&mut self.pending);
        for one in pending {
            let names = self.about(&one);
            let mut open = one.goal == Goal::End;
            let mut refusal = None;
            for name in &names {
                match self.judge(one.goal, name, blocked.get(name)) {
                    Verdict::Yet => open = true,
                    Verdict::True => {}
                    Verdict::Never(message) => refusal = refusal.or(Some(message)),
                }
            }
            match refusal {
                Some(message) => effects.push(Effect::Answer(one.ticket, Err(message))),
                None if open => self.pending.push(one),
                None => effects.push(Effect::Answer(one.ticket, Ok(self.said(one.goal, &names)))),
            }
        }
    }

    /// Answers all remaining requests before the engine exits.
    pub(super) fn answer_all(&mut self, effects: &mut Vec<Effect>) {
        for one in std::mem::take(&mut self.pending) {
            let answer = match one.goal {
                Goal::End | Goal::Down | Goal::Until(Until::Stopped) => {
                    Ok(self.said(one.goal, &self.about(&one)))
                }
                Goal::Up
                | Goal::Renewed(_)
                | Goal::Debugged
                | Goal::Undebugged
                | Goal::Until(Until::Up | Until::Ready | Until::Completed) => Err(ending()),
            };
            effects.push(Effect::Answer(one.ticket, answer));
        }
    }

    fn said(&self, goal: Goal, about: &[Name]) -> String {
        let names: Vec<&str> = about.iter().map(Name::as_str).collect();
        let names = names.join(", ");
        match goal {
            Goal::Until(until) => self.said_until(until, about),
            Goal::Up => format!("started {names}"),
            Goal::Renewed(_) => format!("restarted {names}"),
            Goal::Debugged => {
                let slots = about.iter().filter_map(|name| self.slots.get(name));
                let told: Vec<String> = slots.map(Slot::told_in_debug).collect();
                told.join("; ")
            }
            Goal::Undebugged => format!("{names}: in run mode"),
            Goal::Down => format!("stopped {names}"),
            Goal::End => "stopped the stack".to_owned(),
        }
    }

    fn judge(&self, goal: Goal, name: &Name, blocked: Option<&Message>) -> Verdict {
        let Some(slot) = self.slots.get(name) else {
            return match goal {
                Goal::Down | Goal::End => Verdict::True,
                Goal::Until(until) => self.judge_until(until, name, blocked),
                Goal::Up | Goal::Renewed(_) | Goal::Debugged | Goal::Undebugged => {
                    let text = format!("{name} was removed from the configuration");
                    Verdict::Never(Message::new(MessageClass::Busy, text))
                }
            };
        };
        match goal {
            Goal::End => Verdict::Yet,
            Goal::Until(until) => self.judge_until(until, name, blocked),
            Goal::Down if slot.wanted() => {
                let text = format!("{name} was started again before it stopped");
                Verdict::Never(Message::new(MessageClass::Busy, text))
            }
            Goal::Down if slot.is_live() => Verdict::Yet,
            Goal::Down => Verdict::True,
            Goal::Up => risen(slot, RunId(0), blocked, self.ending.is_some()),
            Goal::Renewed(run) => risen(slot, run, blocked, self.ending.is_some()),
            Goal::Debugged if slot.is_debugged() && slot.restart.is_none() => match slot.debugger {
                Listening::Seen | Listening::Missed => Verdict::True,
                Listening::Unknown | Listening::Awaited(_) => Verdict::Yet,
            },
            Goal::Debugged => risen(slot, RunId(0), blocked, self.ending.is_some()),
            Goal::Undebugged if !slot.wanted() => Verdict::True,
            Goal::Undebugged => risen(slot, RunId(0), blocked, self.ending.is_some()),
        }
    }
}

fn risen(slot: &Slot, least: RunId, blocked: Option<&Message>, ending: bool) -> Verdict {
    let fresh = slot.run.is_some_and(|run| run >= least);
    if ending {
        return Verdict::Never(self::ending());
    }
    match slot.want {
        Want::Stopped | Want::No | Want::Removed => {
            let text = format!("{} was stopped before it was ready", slot.service.name);
            return Verdict::Never(Message::new(MessageClass::Busy, text));
        }
        Want::Yes(_) => {}
    }
    match &slot.state {
        State::Ready { .. } if fresh && slot.restart.is_none() => Verdict::True,
        // It waits for a debugger, and the client may be the one to attach it.
        State::Starting { .. } if fresh && slot.restart.is_none() && slot.awaits_debugger() => {
            Verdict::True
        }
        State::Over(Outcome::Done(_)) if fresh => Verdict::True,
        State::Over(Outcome::Failed(message)) if fresh => Verdict::Never(message.clone()),
        State::Late { message, .. } if fresh && slot.restart.is_none() => {
            Verdict::Never(message.clone())
        }
        State::Idle => match blocked {
            Some(message) => Verdict::Never(message.clone()),
            None => Verdict::Yet,
        },
        State::Launching { .. }
        | State::Starting { .. }
        | State::Late { .. }
        | State::Ready { .. }
        | State::Unwell { .. }
        | State::Stopping { .. }
        | State::Draining { .. }
        | State::Backoff { .. }
        | State::Displaced { .. }
        | State::Over(_) => Verdict::Yet,
    }
}

/// Error for a request that a shutdown makes impossible.
pub(super) fn ending() -> Message {
    Message::new(MessageClass::NotRunning, "the stack is stopping")
}
