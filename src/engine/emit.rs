//! The last move of a step: tell what changed.

use super::idle::IdleStep;
use super::run_state::RunStage;
use super::service_state::{EngineTime, ReportedPhase};
use super::{BlockedServices, Effect, Engine};
use crate::model::{Cause, Event, EventKind, Name, Phase, StackState};

/// State of everything requested, as a whole.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct StackOutlook {
    /// Something failed or is unhealthy.
    failed: bool,
    /// Something runs, but was not ready in time.
    late: bool,
    /// A service has exited as if it were a task.
    exited: bool,
    /// Something is neither ready, done nor failed.
    under_way: bool,
}

impl StackOutlook {
    /// Returns the stack state outside a shutdown. A failure shows at once: clients that wait for
    /// the stack need not wait for services that are still starting.
    pub fn stack_state(self) -> StackState {
        match (self.failed || self.late, self.under_way) {
            (true, _) => StackState::Degraded,
            (false, true) => StackState::Starting,
            (false, false) if self.exited => StackState::Degraded,
            (false, false) => StackState::Up,
        }
    }

    /// Whether everything is ready, or a task that is done.
    fn is_well(self) -> bool {
        !self.failed && !self.late && !self.exited
    }
}

/// How far the start of the stack is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StartOutcome {
    UnderWay,
    /// Everything requested has had a result, but not everything came up.
    Incomplete,
    /// Everything requested has come up.
    Done,
}

/// The last move of a step: emit what changed since the last report.
impl Engine {
    pub(super) fn emit_changes(&mut self, now: EngineTime, effects: &mut Vec<Effect>) {
        self.emit_shutdown(effects);
        let blocked = self.blocked_services();
        let idle = self.idle(&blocked);
        self.ends = idle.is_some_and(|idle| idle.step == IdleStep::Exit);
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
        // Causes come before their consequences: results before what they block or start.
        changed.sort_by_key(|(_, new)| consequence_rank(new.phase));
        for (name, new) in changed {
            self.emit_phase(now, name, new, effects);
        }
        self.answer_requests(&blocked, effects);
        self.outlook = self.outlook(&blocked);
        self.settle(effects);
        self.halt(idle, effects);
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
        if self.stack.is_none() || self.shutdown.is_some() || self.outlook.under_way {
            return;
        }
        let well = self.outlook.is_well();
        let looking = || self.services.values().any(|state| state.believed_at.is_some());
        if self.cautious_start && !self.outlook.failed && looking() {
            return;
        }
        match self.start {
            StartOutcome::UnderWay => {}
            // What was late, failed or gone has come up since.
            StartOutcome::Incomplete if well => {}
            StartOutcome::Incomplete | StartOutcome::Done => return,
        }
        self.start = if well { StartOutcome::Done } else { StartOutcome::Incomplete };
        let what = EventKind::Settled { well };
        effects.push(Effect::Emit(Event { service: None, what }));
    }

    fn outlook(&self, blocked: &BlockedServices) -> StackOutlook {
        let mut outlook = StackOutlook::default();
        for (name, state) in self.services.iter().filter(|(_, state)| state.wanted()) {
            match self.phase_of(state, blocked.get(name)).0 {
                Phase::Done if !state.service.kind.is_task() => outlook.exited = true,
                Phase::Ready | Phase::Done | Phase::Asleep => {}
                Phase::Unhealthy if matches!(state.stage(), Some(RunStage::Late { .. })) => {
                    outlook.late = true;
                }
                Phase::Failed | Phase::Blocked | Phase::Unhealthy => outlook.failed = true,
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

/// How far down the chain of consequences a phase is: a result, what it blocks, what it starts.
fn consequence_rank(phase: Phase) -> u8 {
    match phase {
        Phase::Idle
        | Phase::Asleep
        | Phase::Ready
        | Phase::Unhealthy
        | Phase::Backoff
        | Phase::Done
        | Phase::Failed => 0,
        Phase::Blocked => 1,
        Phase::Waiting | Phase::Starting | Phase::Stopping => 2,
    }
}
