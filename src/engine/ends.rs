use super::slot::{End, KillAt, Outcome, Slot, State, Time, Verdict};
use super::{Effect, Engine, Haste};
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
        now: Time,
        effects: &mut Vec<Effect>,
    ) {
        let Some(slot) = self.current(run) else { return };
        let success =
            matches!(exit, ProcessExit::Code(code) if slot.service.success_codes.contains(&code));
        let (verdict, kill) = match &slot.state {
            State::Stopping { kill, why: Cause::HealthFailed(_), .. } => {
                (Verdict::Unwell(exit), *kill)
            }
            State::Stopping { kill, why: Cause::PortLost(message), .. } => {
                (Verdict::Robbed(message.clone()), *kill)
            }
            State::Stopping { kill, .. } => (Verdict::ByUs, *kill),
            State::Draining { .. } => return,
            State::Idle
            | State::Launching { .. }
            | State::Starting { .. }
            | State::Late { .. }
            | State::Ready { .. }
            | State::Unwell { .. }
            | State::Backoff { .. }
            | State::Displaced { .. }
            | State::Over(_) => {
                let verdict =
                    if success { Verdict::Expected(exit) } else { Verdict::Unexpected(exit) };
                (verdict, KillAt::Never)
            }
        };
        let kill = match kill {
            // A process that has exited can no longer stop at a breakpoint.
            KillAt::Held(_) => KillAt::At(now + slot.service.stop.grace),
            KillAt::At(_) | KillAt::Ordered | KillAt::Never => kill,
        };
        let unexpected = matches!(verdict, Verdict::Unexpected(_));
        let by_itself = matches!(verdict, Verdict::Expected(_) | Verdict::Unexpected(_));
        slot.past.ended(run, slot.runs, now, exit, by(&verdict));
        slot.exit = Some(exit);
        slot.saves.mark(now);
        slot.state = State::Draining { run, verdict, kill };
        // An exit that may be another process's fault is judged once nothing of the run is left.
        let judged = !(unexpected && slot.lacks_port());
        let ends_stack = by_itself && judged && slot.service.on_exit == OnExit::Shutdown;
        let name = slot.service.name.clone();
        let what = EventKind::Ended { run, exit, unexpected };
        effects.push(Effect::Tell(Event { service: Some(name.clone()), what }));
        if ends_stack {
            self.end(now, format!("{name} exited ({exit})"), exit.exit_code(), Haste::Polite);
        }
    }

    pub(super) fn emptied(&mut self, now: Time, run: RunId, effects: &mut Vec<Effect>) {
        let ending = self.ending.is_some();
        let Some(slot) = self.current(run) else { return };
        let verdict = match &slot.state {
            State::Draining { verdict, .. } => verdict.clone(),
            State::Stopping { .. } => Verdict::ByUs,
            // Lost without a report of its exit: treated as killed.
            State::Idle
            | State::Launching { .. }
            | State::Starting { .. }
            | State::Late { .. }
            | State::Ready { .. }
            | State::Unwell { .. }
            | State::Backoff { .. }
            | State::Displaced { .. }
            | State::Over(_) => Verdict::Unexpected(ProcessExit::Signal(9)),
        };
        if let Verdict::Unexpected(exit) = verdict
            && slot.lacks_port()
            && slot.wanted()
            && slot.restart.is_none()
            && !ending
        {
            let verdict = Verdict::Unclear(exit);
            slot.state = State::Draining { run, verdict, kill: KillAt::Never };
            return effects.push(Effect::Examine(run, slot.launched.clone()));
        }
        slot.state = match (slot.restart.take(), verdict) {
            (Some(_), _) | (None, Verdict::ByUs) => State::Idle,
            (None, Verdict::Expected(exit)) => slot.after_expected(now, exit, ending),
            (None, Verdict::Unexpected(exit)) => slot.after_unexpected(now, exit, ending),
            // Reached only if a report arrived twice.
            (None, Verdict::Unclear(exit)) => slot.after_unexpected(now, exit, ending),
            (None, Verdict::Robbed(message)) => slot.displaced(message, ending, effects),
            (None, Verdict::Unwell(_)) if !slot.wanted() => State::Idle,
            (None, Verdict::Unwell(exit)) => slot.after_unexpected(now, exit, ending),
        };
        self.runs.remove(&run);
    }
}

fn by(verdict: &Verdict) -> ExitClass {
    match verdict {
        Verdict::ByUs | Verdict::Unwell(_) | Verdict::Robbed(_) => ExitClass::Us,
        Verdict::Expected(_) => ExitClass::Expected,
        Verdict::Unexpected(_) | Verdict::Unclear(_) => ExitClass::Unexpected,
    }
}

impl Slot {
    fn after_expected(&mut self, now: Time, exit: ProcessExit, ending: bool) -> State {
        match self.service.restart.policy {
            RestartPolicy::Always if !ending => self.back_off(now, exit, false),
            RestartPolicy::Always | RestartPolicy::No | RestartPolicy::OnFailure => {
                State::Over(Outcome::Done(exit))
            }
        }
    }

    pub(super) fn after_unexpected(&mut self, now: Time, exit: ProcessExit, ending: bool) -> State {
        match self.service.restart.policy {
            RestartPolicy::Always | RestartPolicy::OnFailure if !ending => {
                self.back_off(now, exit, true)
            }
            RestartPolicy::Always | RestartPolicy::OnFailure | RestartPolicy::No => {
                let text = match exit {
                    ProcessExit::Code(code) => format!("exited with code {code}"),
                    ProcessExit::Signal(_) => format!("killed by {exit}"),
                };
                State::Over(Outcome::Failed(Message::new(MessageClass::Exit, text)))
            }
        }
    }

    /// Delays the next start, doubling the delay each time, or gives up after too many exits.
    fn back_off(&mut self, now: Time, exit: ProcessExit, unexpected: bool) -> State {
        let rule = self.service.restart.clone();
        self.ends.retain(|end| end.at + rule.window >= now);
        self.ends.push(End { at: now, unexpected });
        let crashes = self.ends.iter().filter(|end| end.unexpected).count() as u32;
        if unexpected && crashes >= rule.max_failures {
            let text = format!(
                "exited {crashes} times within {}; last: {exit}",
                crate::model::DisplayDuration(rule.window)
            );
            let message = Message::new(MessageClass::CrashLoop, text)
                .help(format!("fix it; a change to a watched file or to its config restarts it, or run `devstack restart {}`", self.service.name));
            return State::Over(Outcome::Failed(message));
        }
        let doublings = self.ends.len() as u32 - 1;
        let delay = rule.delay.saturating_mul(1 << doublings.min(16)).min(rule.max_delay);
        let count = self.runs;
        State::Backoff { until: now + delay, cause: Cause::BackingOff { exit, delay, count } }
    }
}
