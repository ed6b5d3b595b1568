use super::service_state::{
    EngineTime, ExitVerdict, KillDeadline, RecentExit, RunState, ServiceOutcome, ServiceState,
};
use super::{Effect, Engine, ShutdownMode};
use crate::model::{
    Cause, Event, EventKind, ExitClass, Message, MessageClass, OnExit, ProcessExit, RestartPolicy,
    RunId,
};

/// The exit of a run and its consequences.
impl Engine {
    pub(super) fn exited(
        &mut self,
        run: RunId,
        exit: ProcessExit,
        now: EngineTime,
        effects: &mut Vec<Effect>,
    ) {
        let Some(slot) = self.live_service_mut(run) else { return };
        let success =
            matches!(exit, ProcessExit::Code(code) if slot.service.success_codes.contains(&code));
        let (verdict, kill) = match &slot.state {
            RunState::Stopping { kill, why: Cause::HealthFailed(_), .. } => {
                (ExitVerdict::Unhealthy(exit), *kill)
            }
            RunState::Stopping { kill, why: Cause::PortLost(message), .. } => {
                (ExitVerdict::PortLost(message.clone()), *kill)
            }
            RunState::Stopping { kill, .. } => (ExitVerdict::Requested, *kill),
            RunState::Draining { .. } => return,
            RunState::Idle
            | RunState::Launching { .. }
            | RunState::Starting { .. }
            | RunState::Late { .. }
            | RunState::Ready { .. }
            | RunState::Unwell { .. }
            | RunState::Backoff { .. }
            | RunState::Displaced { .. }
            | RunState::Over(_) => {
                let verdict = if success {
                    ExitVerdict::Expected(exit)
                } else {
                    ExitVerdict::Unexpected(exit)
                };
                (verdict, KillDeadline::Never)
            }
        };
        let kill = match kill {
            // A process that has exited can no longer stop at a breakpoint.
            KillDeadline::Held(_) => KillDeadline::At(now + slot.service.stop.grace),
            KillDeadline::At(_) | KillDeadline::Ordered | KillDeadline::Never => kill,
        };
        let unexpected = matches!(verdict, ExitVerdict::Unexpected(_));
        let by_itself = matches!(verdict, ExitVerdict::Expected(_) | ExitVerdict::Unexpected(_));
        slot.past.ended(run, slot.runs, now, exit, exit_class(&verdict));
        slot.exit = Some(exit);
        slot.saves.last_activity(now);
        slot.state = RunState::Draining { run, verdict, kill };
        // An exit that may be another process's fault is judged once nothing of the run is left.
        let judged = !(unexpected && slot.may_have_lost_port());
        let ends_stack = by_itself && judged && slot.service.on_exit == OnExit::Shutdown;
        let name = slot.service.name.clone();
        let what = EventKind::Ended { run, exit, unexpected };
        effects.push(Effect::Emit(Event { service: Some(name.clone()), what }));
        if ends_stack {
            self.begin_shutdown(
                now,
                format!("{name} exited ({exit})"),
                exit.exit_code(),
                ShutdownMode::Polite,
            );
        }
    }

    pub(super) fn tree_empty(&mut self, now: EngineTime, run: RunId, effects: &mut Vec<Effect>) {
        let ending = self.shutdown.is_some();
        let Some(slot) = self.live_service_mut(run) else { return };
        let verdict = match &slot.state {
            RunState::Draining { verdict, .. } => verdict.clone(),
            RunState::Stopping { .. } => ExitVerdict::Requested,
            // Lost without a report of its exit: treated as killed.
            RunState::Idle
            | RunState::Launching { .. }
            | RunState::Starting { .. }
            | RunState::Late { .. }
            | RunState::Ready { .. }
            | RunState::Unwell { .. }
            | RunState::Backoff { .. }
            | RunState::Displaced { .. }
            | RunState::Over(_) => ExitVerdict::Unexpected(ProcessExit::Signal(9)),
        };
        if let ExitVerdict::Unexpected(exit) = verdict
            && slot.may_have_lost_port()
            && slot.wanted()
            && slot.pending_restart.is_none()
            && !ending
        {
            let verdict = ExitVerdict::Undecided(exit);
            slot.state = RunState::Draining { run, verdict, kill: KillDeadline::Never };
            return effects.push(Effect::InvestigateExit(run, slot.launched.clone()));
        }
        slot.state = match (slot.pending_restart.take(), verdict) {
            (Some(_), _) | (None, ExitVerdict::Requested) => RunState::Idle,
            (None, ExitVerdict::Expected(exit)) => slot.after_expected(now, exit, ending),
            (None, ExitVerdict::Unexpected(exit)) => slot.after_unexpected(now, exit, ending),
            // Reached only if a report arrived twice.
            (None, ExitVerdict::Undecided(exit)) => slot.after_unexpected(now, exit, ending),
            (None, ExitVerdict::PortLost(message)) => slot.await_port(message, ending, effects),
            (None, ExitVerdict::Unhealthy(_)) if !slot.wanted() => RunState::Idle,
            (None, ExitVerdict::Unhealthy(exit)) => slot.after_unexpected(now, exit, ending),
        };
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
    fn after_expected(&mut self, now: EngineTime, exit: ProcessExit, ending: bool) -> RunState {
        match self.service.restart.policy {
            RestartPolicy::Always if !ending => self.back_off(now, exit, false),
            RestartPolicy::Always | RestartPolicy::No | RestartPolicy::OnFailure => {
                RunState::Over(ServiceOutcome::Done(exit))
            }
        }
    }

    pub(super) fn after_unexpected(
        &mut self,
        now: EngineTime,
        exit: ProcessExit,
        ending: bool,
    ) -> RunState {
        match self.service.restart.policy {
            RestartPolicy::Always | RestartPolicy::OnFailure if !ending => {
                self.back_off(now, exit, true)
            }
            RestartPolicy::Always | RestartPolicy::OnFailure | RestartPolicy::No => {
                let text = match exit {
                    ProcessExit::Code(code) => format!("exited with code {code}"),
                    ProcessExit::Signal(_) => format!("killed by {exit}"),
                };
                RunState::Over(ServiceOutcome::Failed(Message::new(MessageClass::Exit, text)))
            }
        }
    }

    /// Delays the next start, doubling the delay each time, or gives up after too many exits.
    fn back_off(&mut self, now: EngineTime, exit: ProcessExit, unexpected: bool) -> RunState {
        let rule = self.service.restart.clone();
        self.recent_exits.retain(|end| end.at + rule.window >= now);
        self.recent_exits.push(RecentExit { at: now, unexpected });
        let crashes = self.recent_exits.iter().filter(|end| end.unexpected).count() as u32;
        if unexpected && crashes >= rule.max_failures {
            let text = format!(
                "exited {crashes} times within {}; last: {exit}",
                crate::model::DisplayDuration(rule.window)
            );
            let message = Message::new(MessageClass::CrashLoop, text)
                .help(format!("fix it; a change to a watched file or to its config restarts it, or run `devstack restart {}`", self.service.name));
            return RunState::Over(ServiceOutcome::Failed(message));
        }
        let doublings = self.recent_exits.len() as u32 - 1;
        let delay = rule.delay.saturating_mul(1 << doublings.min(16)).min(rule.max_delay);
        let count = self.runs;
        RunState::Backoff { until: now + delay, cause: Cause::BackingOff { exit, delay, count } }
    }
}
