//! What clients request of the engine, until it is answered.

use super::failure::{RequestError, ServiceFailure};
use super::input::Ticket;
use super::run_state::{DebuggerState, LiveRun, RunStage, RunState, ServiceOutcome};
use super::service_state::{DesiredState, ServiceState};
use super::{BlockedServices, Effect, Engine, failure_text};
use crate::model::{Condition, Name, RestartPolicy, RunId, ServiceKind, WaitCondition};

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
    Until(WaitCondition),
}

enum GoalStatus {
    Yet,
    True,
    Never(RequestError),
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
                    GoalStatus::Never(error) => refusal = refusal.or(Some(error)),
                }
            }
            match refusal {
                Some(error) => effects.push(Effect::Answer(one.ticket, Err(error))),
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
                RequestGoal::End
                | RequestGoal::Down
                | RequestGoal::Until(WaitCondition::Stopped) => {
                    let about = self.affected_services(&one);
                    let all = one.goal == RequestGoal::End;
                    let mut left = self.unstoppable();
                    left.retain(|(name, _)| all || about.contains(name));
                    match left.is_empty() {
                        true => Ok(self.success_text(one.goal, &about)),
                        false => Err(RequestError::NotStopped(left)),
                    }
                }
                RequestGoal::Up
                | RequestGoal::Renewed(_)
                | RequestGoal::Debugged
                | RequestGoal::Undebugged
                | RequestGoal::Until(
                    WaitCondition::Up | WaitCondition::Ready | WaitCondition::Completed,
                ) => Err(RequestError::ShuttingDown),
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
                let reported: Vec<String> = slots.map(ServiceState::describe_debug).collect();
                reported.join("; ")
            }
            RequestGoal::Undebugged => format!("{names}: in run mode"),
            RequestGoal::Down => {
                let rest = self.dependents_that_run(about);
                failure_text::stopped(about, &rest)
            }
            RequestGoal::End => "stopped the stack".to_owned(),
        }
    }

    /// Returns the services that keep running although they depend on one of `stopped`.
    fn dependents_that_run(&self, stopped: &[Name]) -> Vec<Name> {
        let runs = |state: &&ServiceState| {
            state.live().is_some_and(LiveRun::is_up)
                && !stopped.contains(&state.service.name)
                && stopped.iter().any(|name| state.service.depends_on.contains_key(name))
        };
        self.services.values().filter(runs).map(|state| state.service.name.clone()).collect()
    }

    fn goal_status(
        &self,
        goal: RequestGoal,
        name: &Name,
        blocked: Option<&ServiceFailure>,
    ) -> GoalStatus {
        let Some(state) = self.services.get(name) else {
            return match goal {
                RequestGoal::Down | RequestGoal::End => GoalStatus::True,
                RequestGoal::Until(until) => self.wait_status(until, name, blocked),
                RequestGoal::Up
                | RequestGoal::Renewed(_)
                | RequestGoal::Debugged
                | RequestGoal::Undebugged => {
                    GoalStatus::Never(RequestError::RemovedMeanwhile(name.clone()))
                }
            };
        };
        match goal {
            RequestGoal::End => GoalStatus::Yet,
            RequestGoal::Until(until) => self.wait_status(until, name, blocked),
            RequestGoal::Down if state.wanted() => {
                GoalStatus::Never(RequestError::StartedMeanwhile(name.clone()))
            }
            RequestGoal::Down if state.ends_yet() => GoalStatus::Yet,
            RequestGoal::Down if state.is_live() => state.not_stopped(),
            RequestGoal::Down => GoalStatus::True,
            RequestGoal::Debugged if state.is_debugged() && state.pending_restart.is_none() => {
                match state.live().map(|run| run.facts.debugger) {
                    Some(DebuggerState::Seen | DebuggerState::Missed) => GoalStatus::True,
                    Some(DebuggerState::Unknown | DebuggerState::Awaited(_)) | None => {
                        GoalStatus::Yet
                    }
                }
            }
            RequestGoal::Undebugged if !state.wanted() => GoalStatus::True,
            _ if self.shutdown.is_some() => GoalStatus::Never(RequestError::ShuttingDown),
            RequestGoal::Renewed(run) => state.goal_reached(run, blocked),
            RequestGoal::Up | RequestGoal::Debugged | RequestGoal::Undebugged => {
                state.goal_reached(RunId(0), blocked)
            }
        }
    }

    pub(super) fn add_wait(
        &mut self,
        ticket: Ticket,
        names: &[Name],
        until: WaitCondition,
        effects: &mut Vec<Effect>,
    ) {
        match self.expand_groups(names) {
            Ok(names) => self.requests.push(PendingRequest {
                ticket,
                goal: RequestGoal::Until(until),
                names,
            }),
            Err(error) => effects.push(Effect::Answer(ticket, Err(error))),
        }
    }

    /// Cancels a request whose answer is no longer needed. Work already requested continues.
    pub(super) fn cancel(&mut self, ticket: Ticket) {
        self.requests.retain(|one| one.ticket != ticket);
    }

    /// Returns the services a request is about now. A wait without names covers everything
    /// requested at that time, or every service when waiting for a stop, including services that
    /// are added, removed or renamed meanwhile.
    fn affected_services(&self, one: &PendingRequest) -> Vec<Name> {
        let (RequestGoal::Until(until), []) = (one.goal, one.names.as_slice()) else {
            return one.names.clone();
        };
        let counts = |state: &ServiceState| match until {
            WaitCondition::Stopped => true,
            WaitCondition::Up | WaitCondition::Ready | WaitCondition::Completed => state.wanted(),
        };
        let about = self.services.iter().filter(|(_, state)| counts(state));
        about.map(|(name, _)| name.clone()).collect()
    }

    /// Returns how far a service is from what a wait asks for.
    fn wait_status(
        &self,
        until: WaitCondition,
        name: &Name,
        blocked: Option<&ServiceFailure>,
    ) -> GoalStatus {
        let Some(state) = self.services.get(name) else {
            return match until {
                WaitCondition::Stopped => GoalStatus::True,
                WaitCondition::Up | WaitCondition::Ready | WaitCondition::Completed => {
                    GoalStatus::Never(self.removed(name))
                }
            };
        };
        match until.of(state.service.kind) {
            None if state.is_stopped(blocked.is_some() || self.shutdown.is_some()) => {
                GoalStatus::True
            }
            None if state.ends_yet() => GoalStatus::Yet,
            None if state.is_live() => state.not_stopped(),
            None => GoalStatus::Yet,
            // What is done satisfies the wait even in a shutdown; a ready service does not stay
            // ready.
            Some(condition) if state.is_done() && state.completion_satisfies(condition) => {
                GoalStatus::True
            }
            Some(_) if self.shutdown.is_some() => GoalStatus::Never(RequestError::ShuttingDown),
            Some(_) if state.desired == DesiredState::Removed => {
                GoalStatus::Never(self.removed(name))
            }
            // Its start went as it should; a client decides about the rest.
            Some(_) if until == WaitCondition::Up && state.is_asleep() => GoalStatus::True,
            Some(condition) => state.condition_status(condition, blocked),
        }
    }

    fn removed(&self, name: &Name) -> RequestError {
        let heir =
            self.services.iter().find(|(_, state)| state.renamed_from.as_ref() == Some(name));
        let renamed_to = heir.map(|(heir, _)| heir.clone());
        RequestError::Gone { name: name.clone(), renamed_to }
    }

    /// Answer to a wait whose condition is met.
    fn wait_text(&self, until: WaitCondition, names: &[Name]) -> String {
        let of = |condition: Option<Condition>| {
            let is = |name: &&Name| match self.services.get(*name) {
                Some(state) => until.of(state.service.kind) == condition,
                None => condition.is_none(),
            };
            let names: Vec<&str> = names.iter().filter(is).map(Name::as_str).collect();
            let word = condition.map_or("stopped".to_owned(), |condition| condition.to_string());
            (!names.is_empty()).then(|| format!("{word}: {}", names.join(", ")))
        };
        let all = [Some(Condition::Ready), Some(Condition::Completed), None];
        let status: Vec<String> = all.into_iter().filter_map(of).collect();
        if status.is_empty() { "no services requested".to_owned() } else { status.join("; ") }
    }
}

impl WaitCondition {
    /// Condition that a service of this kind must meet; `None`: it must have stopped.
    fn of(self, kind: ServiceKind) -> Option<Condition> {
        match (self, kind) {
            (WaitCondition::Up, ServiceKind::Service)
            | (WaitCondition::Ready, ServiceKind::Service | ServiceKind::Task) => {
                Some(Condition::Ready)
            }
            (WaitCondition::Up, ServiceKind::Task)
            | (WaitCondition::Completed, ServiceKind::Service | ServiceKind::Task) => {
                Some(Condition::Completed)
            }
            (WaitCondition::Stopped, ServiceKind::Service | ServiceKind::Task) => None,
        }
    }
}

impl ServiceState {
    /// Whether a request for a start is fulfilled by its run `least` or a later one.
    fn goal_reached(&self, least: RunId, blocked: Option<&ServiceFailure>) -> GoalStatus {
        let fresh = self.newest_run().is_some_and(|run| run.id >= least);
        match self.desired {
            DesiredState::Stopped
            | DesiredState::No
            | DesiredState::Removed
            | DesiredState::Asleep(_) => {
                return GoalStatus::Never(RequestError::StoppedMeanwhile(
                    self.service.name.clone(),
                ));
            }
            DesiredState::Yes(_) => {}
        }
        let failed = |failure: &ServiceFailure| {
            GoalStatus::Never(RequestError::Failed(self.service.name.clone(), failure.clone()))
        };
        if self.live().is_some_and(|run| run.unstoppable().is_some()) {
            return self.not_stopped();
        }
        match &self.state {
            RunState::Live(run) if fresh && self.pending_restart.is_none() => match &run.stage {
                RunStage::Ready { .. } => GoalStatus::True,
                // It waits for a debugger, and the client may be the one to attach it.
                RunStage::Starting { .. } if run.awaits_debugger() => GoalStatus::True,
                RunStage::Late { failure, .. } => failed(failure),
                RunStage::Launching { .. }
                | RunStage::Starting { .. }
                | RunStage::Unhealthy { .. }
                | RunStage::Stopping { .. }
                | RunStage::Draining { .. } => GoalStatus::Yet,
            },
            // Without a probe it was ready before it exited, seen or not.
            RunState::Finished(ServiceOutcome::Done(_))
                if fresh
                    && (self.service.kind.is_task() || self.service.ready.probes.is_empty()) =>
            {
                GoalStatus::True
            }
            RunState::Finished(ServiceOutcome::Done(exit)) if fresh => {
                let name = self.service.name.clone();
                GoalStatus::Never(RequestError::NeverReady(name, *exit))
            }
            // The request ended an earlier failure. Without a port there is no run to compare.
            RunState::Finished(ServiceOutcome::Failed(failure)) => failed(failure),
            RunState::Idle => blocked.map_or(GoalStatus::Yet, failed),
            RunState::Live(_)
            | RunState::BackingOff { .. }
            | RunState::AwaitingPort { .. }
            | RunState::Finished(_) => GoalStatus::Yet,
        }
    }

    /// Something of it cannot be stopped; it may still end, but no request waits for that.
    fn not_stopped(&self) -> GoalStatus {
        let failure = self.unstoppable().map(|failure| (self.service.name.clone(), failure));
        GoalStatus::Never(RequestError::NotStopped(failure.into_iter().collect()))
    }

    fn is_done(&self) -> bool {
        matches!(self.state, RunState::Finished(ServiceOutcome::Done(_)))
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
            RunState::Finished(_) => true,
            RunState::Live(_) | RunState::BackingOff { .. } | RunState::AwaitingPort { .. } => {
                false
            }
        };
        rests && !self.is_live()
    }

    /// Whether the condition is met, will be met without user action, or cannot be.
    fn condition_status(
        &self,
        condition: Condition,
        blocked: Option<&ServiceFailure>,
    ) -> GoalStatus {
        let name = || self.service.name.clone();
        let never = |failure: &ServiceFailure| {
            GoalStatus::Never(RequestError::WaitFailed(name(), failure.clone()))
        };
        match &self.desired {
            DesiredState::No => return GoalStatus::Never(RequestError::NotRequested(name())),
            DesiredState::Asleep(_) => return GoalStatus::Never(RequestError::Asleep(name())),
            DesiredState::Stopped | DesiredState::Removed => {
                return GoalStatus::Never(RequestError::Stopped(name()));
            }
            DesiredState::Yes(_) => {}
        }
        if self.live().is_some_and(|run| run.unstoppable().is_some()) {
            return self.not_stopped();
        }
        let ready = condition == Condition::Ready;
        match (&self.state, blocked) {
            (RunState::Idle, Some(failure)) => never(failure),
            (RunState::Finished(ServiceOutcome::Failed(failure)), _) => never(failure),
            (RunState::Live(LiveRun { stage: RunStage::Late { failure, .. }, .. }), _) if ready => {
                never(failure)
            }
            // Between two runs.
            _ if self.pending_restart.is_some() => GoalStatus::Yet,
            _ if self.believed_at.is_some() && ready => GoalStatus::Yet,
            (RunState::Live(LiveRun { stage: RunStage::Ready { .. }, .. }), _) if ready => {
                GoalStatus::True
            }
            (RunState::Finished(ServiceOutcome::Done(_)), _) if self.service.kind.is_task() => {
                GoalStatus::True
            }
            (RunState::Finished(ServiceOutcome::Done(exit)), _) => {
                GoalStatus::Never(RequestError::NeverReady(name(), *exit))
            }
            _ if !ready && self.service.restart.policy == RestartPolicy::Always => {
                GoalStatus::Never(RequestError::NeverCompletes(name()))
            }
            (
                RunState::Idle
                | RunState::Live(_)
                | RunState::BackingOff { .. }
                | RunState::AwaitingPort { .. },
                _,
            ) => GoalStatus::Yet,
        }
    }
}
