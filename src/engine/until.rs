//! What somebody waits for who asks for nothing else: when it is so, and when it will not be any more.

use super::input::{Ticket, Until};
use super::pending::{Goal, Pending, Verdict, ending};
use super::slot::{Outcome, Slot, State, Want};
use super::{Effect, Engine};
use crate::model::{Class, Condition, Kind, Message, Name, Policy};

impl Engine {
    /// Somebody waits. Nothing else changes for it.
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

    /// Nobody wants this answer any more. What was asked for is done all the same.
    pub(super) fn forget(&mut self, ticket: Ticket) {
        self.pending.retain(|one| one.ticket != ticket);
    }

    /// Whom a request is about now. Who waits and names nobody waits for all that are asked for then, or until all
    /// have stopped: what comes, goes or is renamed meanwhile is part of that or is not.
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

    /// What a service has to say to somebody who waits for it.
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
            // What is done stays done, for a task whatever was waited for; what is ready does not in a shutdown.
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
        Message::new(Class::NotRunning, text)
    }

    /// What is so now, for somebody who waited for it.
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
        if said.is_empty() { "nothing is asked to run".to_owned() } else { said.join("; ") }
    }
}

impl Until {
    /// What has to be true of a service of this kind; `None`: that it has stopped.
    fn of(self, kind: Kind) -> Option<Condition> {
        match (self, kind) {
            (Until::Up, Kind::Service) | (Until::Ready, Kind::Service | Kind::Task) => {
                Some(Condition::Ready)
            }
            (Until::Up, Kind::Task) | (Until::Completed, Kind::Service | Kind::Task) => {
                Some(Condition::Completed)
            }
            (Until::Stopped, Kind::Service | Kind::Task) => None,
        }
    }
}

impl Slot {
    fn is_done(&self) -> bool {
        matches!(self.state, State::Over(Outcome::Done(_)))
    }

    /// Whether this is so of it once it is done. A task is never ready in another way.
    fn is_met_by_its_end(&self, condition: Condition) -> bool {
        match (condition, self.service.kind) {
            (Condition::Completed, Kind::Service | Kind::Task) | (Condition::Ready, Kind::Task) => {
                true
            }
            (Condition::Ready, Kind::Service)
            | (Condition::Started, Kind::Service | Kind::Task) => false,
        }
    }

    /// Whether nothing of it runs, and nothing will by itself.
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

    /// Whether it is ready or has completed, will be by itself, or will not.
    fn promise(&self, condition: Condition, blocked: Option<&Message>) -> Verdict {
        let name = &self.service.name;
        let never = |text: String, why: &Message| {
            let text = format!("{name} {text}: {}", why.text);
            Verdict::Never(Message { text, ..why.clone() })
        };
        let idle = |text: &str| {
            let text = format!("{name} {text}, and nobody starts it");
            let message = Message::new(Class::NotRunning, text);
            Verdict::Never(message.help(format!("`devstack start {name}` starts it")))
        };
        match &self.want {
            Want::No => return idle("does not run"),
            Want::Stopped | Want::Removed => return idle("was stopped"),
            Want::Yes(_) => {}
        }
        let ready = condition == Condition::Ready;
        match (&self.state, blocked) {
            (State::Idle, Some(why)) => never("cannot start".to_owned(), why),
            (State::Over(Outcome::Failed(why)), _) => never("failed".to_owned(), why),
            (State::Late { message, .. }, _) if ready => never("is late".to_owned(), message),
            // Between two runs.
            _ if self.restart.is_some() => Verdict::Yet,
            (State::Ready { .. }, _) if ready => Verdict::True,
            (State::Over(Outcome::Done(_)), _) if self.service.kind == Kind::Task => Verdict::True,
            (State::Over(Outcome::Done(exit)), _) => {
                let text = format!("{name} has ended ({exit}) and is not ready");
                let message = Message::new(Class::Exit, text);
                Verdict::Never(message.help(format!("`devstack restart {name}` starts it again")))
            }
            _ if !ready && self.service.restart.policy == Policy::Always => {
                let text = format!("{name} starts again whenever it ends (`restart`)");
                Verdict::Never(Message::new(Class::Usage, text))
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
