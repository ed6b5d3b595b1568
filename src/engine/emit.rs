use super::run_state::{RunState, ServiceOutcome};
use super::service_state::{DesiredState, EngineTime, ReportedPhase, ServiceState};
use super::{BlockedServices, Effect, Engine, WhenIdle};
use crate::model::{Cause, Event, EventKind, Name, Phase, StackState};

/// State of everything requested, as a whole.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct StackOutlook {
    /// Something failed or is unhealthy.
    failed: bool,
    /// Something is neither ready, done nor failed.
    under_way: bool,
}

impl StackOutlook {
    /// Returns the stack state outside a shutdown. A failure shows at once: clients that wait for
    /// the stack need not wait for services that are still starting.
    pub fn stack_state(self) -> StackState {
        match (self.failed, self.under_way) {
            (true, _) => StackState::Degraded,
            (false, true) => StackState::Starting,
            (false, false) => StackState::Up,
        }
    }
}

/// The last move of a step: emit what changed since the last report.
impl Engine {
    pub(super) fn emit_changes(&mut self, now: EngineTime, effects: &mut Vec<Effect>) {
        self.emit_shutdown(effects);
        let blocked = self.blocked_services();
        let mut changed: Vec<(Name, ReportedPhase)> = self
            .services
            .iter()
            .filter_map(|(name, state)| {
                let (phase, cause) = self.phase_of(state, blocked.get(name));
                // A start that may not happen is not reported.
                if *cause == Cause::InspectingPorts {
                    return None;
                }
                let run = state.live_run();
                let same = state.reported.as_ref().is_some_and(|reported| {
                    reported.phase == phase && reported.run == run && reported.cause == *cause
                });
                let new = || ReportedPhase { phase, cause: cause.into_owned(), run };
                (!same).then(|| (name.clone(), new()))
            })
            .collect();
        // Results come before what starts because of them.
        changed.sort_by_key(|(_, new)| is_transition(new.phase));
        for (name, new) in changed {
            self.emit_phase(now, name, new, effects);
        }
        self.answer_requests(&blocked, effects);
        self.outlook = self.outlook(&blocked);
        self.settle(effects);
        self.halt(&blocked, effects);
    }

    fn emit_phase(
        &mut self,
        now: EngineTime,
        name: Name,
        new: ReportedPhase,
        effects: &mut Vec<Effect>,
    ) {
        let state = self.services.get_mut(&name).expect("the slot was just compared");
        let from = state.reported.as_ref().map(|reported| reported.phase);
        if from != Some(new.phase) {
            state.since = now;
        }
        let ReportedPhase { phase: to, cause, run } = new.clone();
        let what = EventKind::Phase { from, to, cause, run };
        effects.push(Effect::Emit(Event { service: Some(name), what }));
        state.reported = Some(new);
    }

    fn emit_shutdown(&mut self, effects: &mut Vec<Effect>) {
        if let Some(ending) = self.shutdown.as_mut().filter(|ending| !ending.reported) {
            ending.reported = true;
            let what = EventKind::ShuttingDown(ending.why.to_string());
            effects.push(Effect::Emit(Event { service: None, what }));
        }
    }

    fn settle(&mut self, effects: &mut Vec<Effect>) {
        if self.settled || self.stack.is_none() || self.shutdown.is_some() {
            return;
        }
        if self.outlook.under_way {
            return;
        }
        self.settled = true;
        let what = EventKind::Settled { well: !self.outlook.failed };
        effects.push(Effect::Emit(Event { service: None, what }));
    }

    /// Exits when a shutdown is complete, or when nothing runs and nothing will start on its own.
    fn halt(&mut self, blocked: &BlockedServices, effects: &mut Vec<Effect>) {
        if self.stack.is_none() || self.services.values().any(ServiceState::is_live) {
            return;
        }
        let code = match &self.shutdown {
            Some(ending) => Some(ending.code),
            None => match self.when_idle {
                WhenIdle::KeepAlive => None,
                WhenIdle::Exit => self.exit_code_when_idle(blocked),
            },
        };
        if let Some(code) = code {
            self.halted = true;
            self.answer_remaining(effects);
            effects.push(Effect::Exit(code));
        }
    }

    /// Returns the exit code if everything requested has finished and only the user could start it
    /// again. A service with watches waits for a file change, a stopped one for the user, and a
    /// stack whose configuration no longer requests anything for the next edit.
    fn exit_code_when_idle(&self, blocked: &BlockedServices) -> Option<i32> {
        if self.applied_once && !self.services.values().any(ServiceState::wanted) {
            return None;
        }
        let mut failed = false;
        for (name, service_state) in &self.services {
            let over = match (&service_state.desired, &service_state.state) {
                (DesiredState::No, _) => true,
                (DesiredState::Stopped | DesiredState::Removed, _) => false,
                (DesiredState::Yes(_), _) if !service_state.service.watch.is_empty() => false,
                (DesiredState::Yes(_), RunState::Finished(ServiceOutcome::Done(_))) => true,
                (DesiredState::Yes(_), RunState::Finished(ServiceOutcome::Failed(_))) => {
                    failed = true;
                    true
                }
                (DesiredState::Yes(_), RunState::Idle) if blocked.contains_key(name) => {
                    failed = true;
                    true
                }
                (DesiredState::Yes(_), _) => false,
            };
            if !over {
                return None;
            }
        }
        Some(i32::from(failed))
    }

    fn outlook(&self, blocked: &BlockedServices) -> StackOutlook {
        let mut outlook = StackOutlook { failed: false, under_way: false };
        for (name, state) in self.services.iter().filter(|(_, state)| state.wanted()) {
            match self.phase_of(state, blocked.get(name)).0 {
                Phase::Ready | Phase::Done => {}
                Phase::Failed | Phase::Unhealthy => outlook.failed = true,
                Phase::Idle
                | Phase::Waiting
                | Phase::Starting
                | Phase::Stopping
                | Phase::Backoff => outlook.under_way = true,
            }
        }
        outlook
    }
}

/// Whether this phase is a transition rather than a result.
fn is_transition(phase: Phase) -> bool {
    match phase {
        Phase::Waiting | Phase::Starting | Phase::Stopping => true,
        Phase::Idle
        | Phase::Ready
        | Phase::Unhealthy
        | Phase::Backoff
        | Phase::Done
        | Phase::Failed => false,
    }
}
