//! Requests that only wait: when the condition is met, and when it no longer can be.

use super::input::{Ticket, WaitUntil};
use super::pending::{GoalStatus, PendingRequest, RequestGoal, shutting_down_error};
use super::slot::{DesiredState, RunState, ServiceOutcome, ServiceState};
use super::{Effect, Engine};
use crate::model::{Condition, Message, MessageClass, Name, RestartPolicy, ServiceKind};

impl Engine {
    pub(super) fn add_wait(
        &mut self,
        ticket: Ticket,
        names: &[Name],
        until: WaitUntil,
        effects: &mut Vec<Effect>,
    ) {
        match self.expand_groups(names) {
            Ok(names) => self.requests.push(PendingRequest {
                ticket,
                goal: RequestGoal::Until(until),
                names,
            }),
            Err(message) => effects.push(Effect::Answer(ticket, Err(message))),
        }
    }

    /// Cancels a request whose answer is no longer needed. Work already requested continues.
    pub(super) fn cancel(&mut self, ticket: Ticket) {
        self.requests.retain(|one| one.ticket != ticket);
    }

    /// Returns the services a request is about now. A wait without names covers everything
    /// requested at that time, or every service when waiting for a stop, including services that
    /// are added, removed or renamed meanwhile.
    pub(super) fn affected_services(&self, one: &PendingRequest) -> Vec<Name> {
        let (RequestGoal::Until(until), []) = (one.goal, one.names.as_slice()) else {
            return one.names.clone();
        };
        let counts = |slot: &ServiceState| match until {
            WaitUntil::Stopped => true,
            WaitUntil::Up | WaitUntil::Ready | WaitUntil::Completed => slot.wanted(),
        };
        let about = self.services.iter().filter(|(_, slot)| counts(slot));
        about.map(|(name, _)| name.clone()).collect()
    }

    /// Returns how far a service is from what a wait asks for.
    pub(super) fn wait_status(
        &self,
        until: WaitUntil,
        name: &Name,
        blocked: Option<&Message>,
    ) -> GoalStatus {
        let Some(slot) = self.services.get(name) else {
            return match until {
                WaitUntil::Stopped => GoalStatus::True,
                WaitUntil::Up | WaitUntil::Ready | WaitUntil::Completed => {
                    GoalStatus::Never(self.removed(name))
                }
            };
        };
        match until.of(slot.service.kind) {
            None if slot.is_stopped(blocked.is_some() || self.shutdown.is_some()) => {
                GoalStatus::True
            }
            None => GoalStatus::Yet,
            // What is done satisfies the wait even in a shutdown; a ready service does not stay
            // ready.
            Some(condition) if slot.is_done() && slot.completion_satisfies(condition) => {
                GoalStatus::True
            }
            Some(_) if self.shutdown.is_some() => GoalStatus::Never(shutting_down_error()),
            Some(_) if slot.desired == DesiredState::Removed => {
                GoalStatus::Never(self.removed(name))
            }
            Some(condition) => slot.condition_status(condition, blocked),
        }
    }

    fn removed(&self, name: &Name) -> Message {
        let heir = self.services.iter().find(|(_, slot)| slot.renamed_from.as_ref() == Some(name));
        let text = match heir {
            Some((heir, _)) => format!("{name} was renamed to {heir} in the configuration"),
            None => format!("{name} was removed from the configuration"),
        };
        Message::new(MessageClass::NotRunning, text)
    }

    /// Answer to a wait whose condition is met.
    pub(super) fn wait_text(&self, until: WaitUntil, names: &[Name]) -> String {
        let of = |condition: Option<Condition>| {
            let is = |name: &&Name| match self.services.get(*name) {
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

impl WaitUntil {
    /// Condition that a service of this kind must meet; `None`: it must have stopped.
    fn of(self, kind: ServiceKind) -> Option<Condition> {
        match (self, kind) {
            (WaitUntil::Up, ServiceKind::Service)
            | (WaitUntil::Ready, ServiceKind::Service | ServiceKind::Task) => {
                Some(Condition::Ready)
            }
            (WaitUntil::Up, ServiceKind::Task)
            | (WaitUntil::Completed, ServiceKind::Service | ServiceKind::Task) => {
                Some(Condition::Completed)
            }
            (WaitUntil::Stopped, ServiceKind::Service | ServiceKind::Task) => None,
        }
    }
}

impl ServiceState {
    fn is_done(&self) -> bool {
        matches!(self.state, RunState::Over(ServiceOutcome::Done(_)))
    }

    /// Whether completion satisfies `condition`. Completing is the only way for a task to be ready.
    fn completion_satisfies(&self, condition: Condition) -> bool {
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
            RunState::Idle => !self.wanted() || cannot_start,
            RunState::Over(_) => true,
            RunState::Launching { .. }
            | RunState::Starting { .. }
            | RunState::Late { .. }
            | RunState::Ready { .. }
            | RunState::Unwell { .. }
            | RunState::Stopping { .. }
            | RunState::Draining { .. }
            | RunState::Backoff { .. }
            | RunState::Displaced { .. } => false,
        };
        rests && !self.is_live()
    }

    /// Whether the condition is met, will be met without user action, or cannot be.
    fn condition_status(&self, condition: Condition, blocked: Option<&Message>) -> GoalStatus {
        let name = &self.service.name;
        let never = |text: String, why: &Message| {
            let text = format!("{name} {text}: {}", why.text);
            GoalStatus::Never(Message { text, ..why.clone() })
        };
        let idle = |text: &str| {
            let text = format!("{name} {text} and will not start");
            let message = Message::new(MessageClass::NotRunning, text);
            GoalStatus::Never(message.help(format!("run `devstack start {name}`")))
        };
        match &self.desired {
            DesiredState::No => return idle("is not running"),
            DesiredState::Stopped | DesiredState::Removed => return idle("was stopped"),
            DesiredState::Yes(_) => {}
        }
        let ready = condition == Condition::Ready;
        match (&self.state, blocked) {
            (RunState::Idle, Some(why)) => never("cannot start".to_owned(), why),
            (RunState::Over(ServiceOutcome::Failed(why)), _) => never("failed".to_owned(), why),
            (RunState::Late { message, .. }, _) if ready => never("timed out".to_owned(), message),
            // Between two runs.
            _ if self.pending_restart.is_some() => GoalStatus::Yet,
            (RunState::Ready { .. }, _) if ready => GoalStatus::True,
            (RunState::Over(ServiceOutcome::Done(_)), _)
                if self.service.kind == ServiceKind::Task =>
            {
                GoalStatus::True
            }
            (RunState::Over(ServiceOutcome::Done(exit)), _) => {
                let text = format!("{name} exited ({exit}) and will not become ready");
                let message = Message::new(MessageClass::Exit, text);
                GoalStatus::Never(message.help(format!("run `devstack restart {name}`")))
            }
            _ if !ready && self.service.restart.policy == RestartPolicy::Always => {
                let text =
                    format!("{name} never completes: it restarts whenever it exits (`restart`)");
                GoalStatus::Never(Message::new(MessageClass::Usage, text))
            }
            (
                RunState::Idle
                | RunState::Launching { .. }
                | RunState::Starting { .. }
                | RunState::Late { .. }
                | RunState::Ready { .. }
                | RunState::Unwell { .. }
                | RunState::Stopping { .. }
                | RunState::Draining { .. }
                | RunState::Backoff { .. }
                | RunState::Displaced { .. },
                _,
            ) => GoalStatus::Yet,
        }
    }
}
