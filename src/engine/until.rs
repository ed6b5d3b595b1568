//! Requests that only wait: when the condition is met, and when it no longer can be.

use super::input::{Ticket, Until};
use super::pending::{Goal, Pending, Verdict, ending};
use super::slot::{Outcome, Slot, State, Want};
use super::{Effect, Engine};
use crate::model::{Condition, Message, MessageClass, Name, RestartPolicy, ServiceKind};

impl Engine {
    pub(super) fn await_until(
        &mut self,
        ticket: Ticket,
        names: &[Name],
        until: Until,
        effects: &mut Vec<Effect>,
    ) {
        match self.members(names) {
            Ok(names) => self.pending.push(Pending { ticket, goal: Goal::Until(until), names }),
            Err(message) => effects.push(Effect::Answer(ticket, Err(message))),
        }
    }

    /// Cancels a request whose answer is no longer needed. Work already requested continues.
    pub(super) fn forget(&mut self, ticket: Ticket) {
        self.pending.retain(|one| one.ticket != ticket);
    }

    /// Returns the services a request is about now. A wait without names covers everything
    /// requested at that time, or every service when waiting for a stop, including services that
    /// are added, removed or renamed meanwhile.
    pub(super) fn about(&self, one: &Pending) -> Vec<Name> {
        let (Goal::Until(until), []) = (one.goal, one.names.as_slice()) else {
            return one.names.clone();
        };
        let counts = |slot: &Slot| match until {
            Until::Stopped => true,
            Until::Up | Until::Ready | Until::Completed => slot.wanted(),
        };
        let about = self.slots.iter().filter(|(_, slot)| counts(slot));
        about.map(|(name, _)| name.clone()).collect()
    }

    /// Returns how far a service is from what a wait asks for.
    pub(super) fn judge_until(
        &self,
        until: Until,
        name: &Name,
        blocked: Option<&Message>,
    ) -> Verdict {
        let Some(slot) = self.slots.get(name) else {
            return match until {
                Until::Stopped => Verdict::True,
                Until::Up | Until::Ready | Until::Completed => Verdict::Never(self.removed(name)),
            };
        };
        match until.of(slot.service.kind) {
            None if slot.is_stopped(blocked.is_some() || self.ending.is_some()) => Verdict::True,
            None => Verdict::Yet,
            // What is done satisfies the wait even in a shutdown; a ready service does not stay
            // ready.
            Some(condition) if slot.is_done() && slot.is_met_by_its_end(condition) => Verdict::True,
            Some(_) if self.ending.is_some() => Verdict::Never(ending()),
            Some(_) if slot.want == Want::Removed => Verdict::Never(self.removed(name)),
            Some(condition) => slot.promise(condition, blocked),
        }
    }

    fn removed(&self, name: &Name) -> Message {
        let heir = self.slots.iter().find(|(_, slot)| slot.after.as_ref() == Some(name));
        let text = match heir {
            Some((heir, _)) => format!("{name} was renamed to {heir} in the configuration"),
            None => format!("{name} was removed from the configuration"),
        };
        Message::new(MessageClass::NotRunning, text)
    }

    /// Answer to a wait whose condition is met.
    pub(super) fn said_until(&self, until: Until, names: &[Name]) -> String {
        let of = |condition: Option<Condition>| {
            let is = |name: &&Name| match self.slots.get(*name) {
                Some(slot) => until.of(slot.service.kind) == condition,
                None => condition.is_none(),
            };
            let names: Vec<&str> = names.iter().filter(is).map(Name::as_str).collect();
            let word = condition.map_or("stopped", Condition::as_str);
            (!names.is_empty()).then(|| format!("{word}: {}", names.join(", ")))
        };
        let all = [Some(Condition::Ready), Some(Condition::Completed), None];
        let said: Vec<String> = all.into_iter().filter_map(of).collect();
        if said.is_empty() { "no services requested".to_owned() } else { said.join("; ") }
    }
}

impl Until {
    /// Condition that a service of this kind must meet; `None`: it must have stopped.
    fn of(self, kind: ServiceKind) -> Option<Condition> {
        match (self, kind) {
            (Until::Up, ServiceKind::Service)
            | (Until::Ready, ServiceKind::Service | ServiceKind::Task) => Some(Condition::Ready),
            (Until::Up, ServiceKind::Task)
            | (Until::Completed, ServiceKind::Service | ServiceKind::Task) => {
                Some(Condition::Completed)
            }
            (Until::Stopped, ServiceKind::Service | ServiceKind::Task) => None,
        }
    }
}

impl Slot {
    fn is_done(&self) -> bool {
        matches!(self.state, State::Over(Outcome::Done(_)))
    }

    /// Whether completion satisfies `condition`. Completing is the only way for a task to be ready.
    fn is_met_by_its_end(&self, condition: Condition) -> bool {
        match (condition, self.service.kind) {
            (Condition::Completed, ServiceKind::Service | ServiceKind::Task)
            | (Condition::Ready, ServiceKind::Task) => true,
            (Condition::Ready, ServiceKind::Service)
            | (Condition::Started, ServiceKind::Service | ServiceKind::Task) => false,
        }
    }

    /// Whether nothing of it runs and nothing will start it on its own.
    fn is_stopped(&self, cannot_start: bool) -> bool {
        let rests = match self.state {
            State::Idle => !self.wanted() || cannot_start,
            State::Over(_) => true,
            State::Launching { .. }
            | State::Starting { .. }
            | State::Late { .. }
            | State::Ready { .. }
            | State::Unwell { .. }
            | State::Stopping { .. }
            | State::Draining { .. }
            | State::Backoff { .. }
            | State::Displaced { .. } => false,
        };
        rests && !self.is_live()
    }

    /// Whether the condition is met, will be met without user action, or cannot be.
    fn promise(&self, condition: Condition, blocked: Option<&Message>) -> Verdict {
        let name = &self.service.name;
        let never = |text: String, why: &Message| {
            let text = format!("{name} {text}: {}", why.text);
            Verdict::Never(Message { text, ..why.clone() })
        };
        let idle = |text: &str| {
            let text = format!("{name} {text} and will not start");
            let message = Message::new(MessageClass::NotRunning, text);
            Verdict::Never(message.help(format!("run `devstack start {name}`")))
        };
        match &self.want {
            Want::No => return idle("is not running"),
            Want::Stopped | Want::Removed => return idle("was stopped"),
            Want::Yes(_) => {}
        }
        let ready = condition == Condition::Ready;
        match (&self.state, blocked) {
            (State::Idle, Some(why)) => never("cannot start".to_owned(), why),
            (State::Over(Outcome::Failed(why)), _) => never("failed".to_owned(), why),
            (State::Late { message, .. }, _) if ready => never("timed out".to_owned(), message),
            // Between two runs.
            _ if self.restart.is_some() => Verdict::Yet,
            (State::Ready { .. }, _) if ready => Verdict::True,
            (State::Over(Outcome::Done(_)), _) if self.service.kind == ServiceKind::Task => {
                Verdict::True
            }
            (State::Over(Outcome::Done(exit)), _) => {
                let text = format!("{name} exited ({exit}) and will not become ready");
                let message = Message::new(MessageClass::Exit, text);
                Verdict::Never(message.help(format!("run `devstack restart {name}`")))
            }
            _ if !ready && self.service.restart.policy == RestartPolicy::Always => {
                let text =
                    format!("{name} never completes: it restarts whenever it exits (`restart`)");
                Verdict::Never(Message::new(MessageClass::Usage, text))
            }
            (
                State::Idle
                | State::Launching { .. }
                | State::Starting { .. }
                | State::Late { .. }
                | State::Ready { .. }
                | State::Unwell { .. }
                | State::Stopping { .. }
                | State::Draining { .. }
                | State::Backoff { .. }
                | State::Displaced { .. },
                _,
            ) => Verdict::Yet,
        }
    }
}
