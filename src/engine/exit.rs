use std::time::Duration;

use super::failure::ServiceFailure;
use super::history::EndedRun;
use super::kill_progress::KillProgress;
use super::run_state::{ExitVerdict, RunStage, RunState, ServiceOutcome};
use super::service_state::{EngineTime, RecentExit, ServiceState};
use super::{Effect, Engine, MAX_STARTS_AFTER_CHANGE, ShutdownMode, failure_text};
use crate::model::{Cause, EventKind, ExitClass, OnExit, ProcessExit, RestartPolicy, RunId};

/// How a shell exits that does not find a program: another try would be in vain.
const NOT_FOUND: ProcessExit = ProcessExit::Code(127);

/// Programs use this code for other purposes, too, but hardly so soon.
const NOT_FOUND_WITHIN: Duration = Duration::from_secs(1);

/// The exit of a run and its consequences.
impl Engine {
    pub(super) fn exited(
        &mut self,
        run: RunId,
        exit: ProcessExit,
        now: EngineTime,
        effects: &mut Vec<Effect>,
    ) {
        let Some(state) = self.live_service_mut(run) else { return };
        let success =
            matches!(exit, ProcessExit::Code(code) if state.service.success_codes.contains(&code));
        let (service, start) = (state.service.clone(), state.runs);
        let Some(live) = state.live_mut() else { return };
        let (verdict, kill) = match &live.stage {
            RunStage::Stopping { kill, cause } => {
                let verdict = match cause {
                    Cause::HealthFailed(_) => ExitVerdict::Unhealthy(exit),
                    Cause::PortLost(message) => ExitVerdict::PortLost(message.clone()),
                    _ => ExitVerdict::Requested,
                };
                (verdict, kill.clone())
            }
            RunStage::Draining { .. } => return,
            RunStage::Launching { .. }
            | RunStage::Starting { .. }
            | RunStage::Late { .. }
            | RunStage::Ready { .. }
            | RunStage::Unhealthy { .. } => {
                let verdict = if success {
                    ExitVerdict::Expected(exit)
                } else {
                    ExitVerdict::Unexpected(exit)
                };
                (verdict, KillProgress::by_guard(now))
            }
        };
        let kill = match kill {
            // A process that has exited can no longer stop at a breakpoint.
            KillProgress::Debugging(_) => KillProgress::At(now + service.stop.grace),
            KillProgress::At(_)
            | KillProgress::Ordered { .. }
            | KillProgress::ByKeeper { .. }
            | KillProgress::Overdue
            | KillProgress::Survived(_)
            | KillProgress::NotNeeded => kill,
        };
        let unexpected = matches!(verdict, ExitVerdict::Unexpected(_));
        let by_itself = matches!(verdict, ExitVerdict::Expected(_) | ExitVerdict::Unexpected(_));
        let lived = live.facts.spawned_at.map(|spawned| now.saturating_sub(spawned));
        live.facts.lived = lived;
        let by = exit_class(&verdict);
        let may_have_lost_port = live.may_have_lost_port();
        live.pid = None;
        live.stage = RunStage::Draining { exit, verdict, kill };
        state.past.ended(EndedRun { run, start, at: now, exit, lived, by, note: None });
        state.exit = Some(exit);
        state.saves.last_activity(now);
        // An exit that may be another process's fault is judged once nothing of the run is left.
        let judged = !(unexpected && may_have_lost_port);
        let ends_stack = by_itself && judged && service.on_exit == OnExit::Shutdown;
        state.emit(EventKind::Ended { run, exit, unexpected }, effects);
        if ends_stack {
            self.begin_shutdown(
                now,
                failure_text::exited(&service.name, exit),
                exit.exit_code(),
                ShutdownMode::Polite,
            );
        }
    }

    pub(super) fn tree_empty(&mut self, now: EngineTime, run: RunId, effects: &mut Vec<Effect>) {
        let ending = self.shutdown.is_some();
        let Some(state) = self.live_service_mut(run) else { return };
        let Some(live) = state.live_mut() else { return };
        let verdict = match &live.stage {
            RunStage::Draining { verdict, .. } => verdict.clone(),
            RunStage::Stopping { .. } => ExitVerdict::Requested,
            // Lost without a report of its exit: treated as killed.
            RunStage::Launching { .. }
            | RunStage::Starting { .. }
            | RunStage::Late { .. }
            | RunStage::Ready { .. }
            | RunStage::Unhealthy { .. } => ExitVerdict::Unexpected(ProcessExit::Signal(9)),
        };
        if let ExitVerdict::Unexpected(exit) = verdict
            && live.may_have_lost_port()
            && state.wanted()
            && state.pending_restart.is_none()
            && !ending
        {
            return state.investigate_exit(exit, effects);
        }
        let next = match (state.take_restart(), verdict) {
            (Some(_), _) | (None, ExitVerdict::Requested) => RunState::Idle,
            (None, ExitVerdict::Expected(exit)) => state.after_expected(now, exit, ending),
            (None, ExitVerdict::Unexpected(exit)) => state.after_unexpected(now, exit, ending),
            // Reached only if a report arrived twice.
            (None, ExitVerdict::Undecided(exit)) => state.after_unexpected(now, exit, ending),
            (None, ExitVerdict::PortLost(message)) => state.await_port(message, ending, effects),
            (None, ExitVerdict::Unhealthy(_)) if !state.wanted() => RunState::Idle,
            (None, ExitVerdict::Unhealthy(exit)) => state.after_unexpected(now, exit, ending),
        };
        state.end_run(next);
        self.runs.remove(&run);
    }
}

fn exit_class(verdict: &ExitVerdict) -> ExitClass {
    match verdict {
        ExitVerdict::Requested | ExitVerdict::Unhealthy(_) | ExitVerdict::PortLost(_) => {
            ExitClass::Us
        }
        ExitVerdict::Expected(_) => ExitClass::Expected,
        ExitVerdict::Unexpected(_) | ExitVerdict::Undecided(_) => ExitClass::Unexpected,
    }
}

impl ServiceState {
    /// Orders a look at what caused the exit of a run of which nothing is left.
    fn investigate_exit(&mut self, exit: ProcessExit, effects: &mut Vec<Effect>) {
        let Some(live) = self.live_mut() else { return };
        let verdict = ExitVerdict::Undecided(exit);
        live.pid = None;
        live.stage = RunStage::Draining { exit, verdict, kill: KillProgress::NotNeeded };
        effects.push(Effect::InvestigateExit(live.facts.id, live.facts.service.clone()));
    }

    fn after_expected(&mut self, now: EngineTime, exit: ProcessExit, ending: bool) -> RunState {
        match self.service.restart.policy {
            RestartPolicy::Always if !ending => self.back_off(now, exit, false),
            RestartPolicy::Always | RestartPolicy::No | RestartPolicy::OnFailure => {
                RunState::Finished(ServiceOutcome::Done(exit))
            }
        }
    }

    pub(super) fn after_unexpected(
        &mut self,
        now: EngineTime,
        exit: ProcessExit,
        ending: bool,
    ) -> RunState {
        self.crashed = true;
        let facts = self.live().map(|run| &*run.facts);
        let lived = facts.and_then(|facts| facts.lived);
        // It was ready before, so a change that it reloaded broke it.
        if facts.is_some_and(|facts| facts.reloads_itself && facts.time_to_ready.is_some()) {
            self.change.get_or_insert(Cause::ReloadedItself);
        }
        if exit == NOT_FOUND && lived.is_some_and(|lived| lived < NOT_FOUND_WITHIN) {
            return RunState::Finished(ServiceOutcome::Failed(ServiceFailure::CommandNotFound));
        }
        match self.service.restart.policy {
            RestartPolicy::Always | RestartPolicy::OnFailure if !ending => {
                self.back_off(now, exit, true)
            }
            RestartPolicy::Always | RestartPolicy::OnFailure | RestartPolicy::No => {
                RunState::Finished(ServiceOutcome::Failed(ServiceFailure::Exited(exit)))
            }
        }
    }

    /// Delays the next start, doubling the delay each time, or gives up after too many exits.
    fn back_off(&mut self, now: EngineTime, exit: ProcessExit, unexpected: bool) -> RunState {
        let rule = self.service.restart.clone();
        self.recent_exits.retain(|end| end.at + rule.window >= now);
        self.recent_exits.push(RecentExit { at: now, unexpected });
        let crashes = self.recent_exits.iter().filter(|end| end.unexpected).count() as u32;
        let failure = match &self.change {
            _ if !unexpected => None,
            Some(change) if crashes >= MAX_STARTS_AFTER_CHANGE => {
                let change = change.clone();
                Some(ServiceFailure::BrokenByChange { change, exits: crashes, last: exit })
            }
            _ if crashes >= rule.max_failures => {
                let (window, last) = (rule.window, exit);
                Some(ServiceFailure::CrashLoop { exits: crashes, window, last })
            }
            _ => None,
        };
        if let Some(failure) = failure {
            return RunState::Finished(ServiceOutcome::Failed(failure));
        }
        let doublings = self.recent_exits.len() as u32 - 1;
        let delay = rule.delay.saturating_mul(1 << doublings.min(16)).min(rule.max_delay);
        let count = self.recent_exits.len() as u32;
        RunState::BackingOff { until: now + delay, cause: Cause::BackingOff { exit, delay, count } }
    }
}
