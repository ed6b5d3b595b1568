use std::time::Duration;

use super::input::{Haste, Input, Ticket};
use super::order::closure;
use super::pending::{Goal, Pending, ending};
use super::slot::{Listening, Outcome, State, Time, Want};
use super::{Effect, Ending, Engine, SHUTDOWN_CAP};
use crate::model::{
    Cause, Event, EventKind, HealthAction, Message, MessageClass, Name, RunId, ServiceKind,
};

/// The first move of a step: record what happened. Nothing starts or stops here.
impl Engine {
    pub(super) fn absorb(&mut self, now: Time, input: Input, effects: &mut Vec<Effect>) {
        match input {
            Input::Apply { stack, selection } => self.apply(now, stack, selection, effects),
            Input::Start(ticket, names) => self.want(now, ticket, names, Goal::Up, effects),
            Input::Restart(ticket, names) => {
                let goal = Goal::Renewed(RunId(self.next_run));
                self.want(now, ticket, names, goal, effects);
            }
            Input::Debug(ticket, names) => self.want(now, ticket, names, Goal::Debugged, effects),
            Input::Undebug(ticket, names) => self.undebug(ticket, names, effects),
            Input::Stop(ticket, names) => self.unwant(now, ticket, names, effects),
            Input::Wait(ticket, names, until) => self.await_until(ticket, &names, until, effects),
            Input::Forget(ticket) => self.forget(ticket),
            Input::Shutdown { ticket, why, code, haste } => {
                self.end(now, why, code, haste);
                let names = Vec::new();
                self.pending.extend(ticket.map(|ticket| Pending {
                    ticket,
                    goal: Goal::End,
                    names,
                }));
            }
            Input::FilesChanged(files) => self.files_changed(now, files, effects),
            Input::JobEnded(job, result) => self.job_ended(now, job, result, effects),
            Input::FilesChanging(changing) => self.files_changing = changing,
            Input::Spawned(run, pid) => self.spawned(now, run, pid, effects),
            Input::NotSpawned(run, message) => self.not_spawned(run, message),
            Input::Held(run, what) => self.held(now, run, what, effects),
            Input::Failing(run, why) => {
                if let Some(slot) = self.current(run) {
                    slot.failing = Some(why);
                }
            }
            Input::Unwell(run, why) => self.unwell(run, why),
            Input::Attachable(run) => self.attachable(run, effects),
            Input::Well(run) => self.well(now, run),
            Input::Slept(time) => self.shift(time),
            Input::Robbed(run, message) => self.robbed(run, message, effects),
            Input::Examined(run, excuse) => self.examined(now, run, excuse, effects),
            Input::Placed { stack, outcome } => self.placed(now, stack, outcome, effects),
            Input::Note(run, message) => self.note(run, message, effects),
            Input::Listens(run, addresses) => {
                if let Some(slot) = self.current(run) {
                    slot.listening = Some(addresses);
                }
            }
            Input::Remarks(run, messages) => self.remark(run, messages, effects),
            Input::Exited(run, exit) => self.exited(run, exit, now, effects),
            Input::Emptied(run) => self.emptied(now, run, effects),
            Input::Tick => {}
        }
    }

    fn want(
        &mut self,
        now: Time,
        ticket: Ticket,
        names: Vec<Name>,
        goal: Goal,
        effects: &mut Vec<Effect>,
    ) {
        let names = match self.check(&names) {
            Ok(names) => names,
            Err(message) => return effects.push(Effect::Answer(ticket, Err(message))),
        };
        let Some(stack) = &self.stack else { return };
        let why = Cause::Requested(match goal {
            Goal::Renewed(_) => "restart",
            Goal::Debugged => "debug",
            Goal::Up | Goal::Undebugged | Goal::Down | Goal::End | Goal::Until(_) => "start",
        });
        for (name, cause) in closure(stack, names.iter().cloned(), why) {
            let Some(slot) = self.slots.get_mut(&name) else { continue };
            if names.contains(&name) {
                slot.saves.trust();
            }
            match (goal, names.contains(&name)) {
                (Goal::Renewed(_), true) => {
                    slot.insist(now);
                    slot.saves.interrupt();
                    slot.renew(cause.clone());
                }
                (Goal::Up | Goal::Debugged, true) => slot.rearm(),
                // A dependency that is done stays done; a failed one gets another chance.
                (_, false) if matches!(slot.state, State::Over(Outcome::Done(_))) => {}
                (_, _) => slot.rearm(),
            }
            if !slot.wanted() || names.contains(&name) {
                slot.want = Want::Yes(cause);
            }
        }
        self.pending.push(Pending { ticket, goal, names });
    }

    fn unwant(&mut self, now: Time, ticket: Ticket, names: Vec<Name>, effects: &mut Vec<Effect>) {
        let names = match self.check(&names) {
            Ok(names) => names,
            Err(message) => return effects.push(Effect::Answer(ticket, Err(message))),
        };
        for name in &names {
            let slot = self.slots.get_mut(name).expect("the names were checked");
            slot.want = Want::Stopped;
            slot.restart = None;
            slot.because = None;
            slot.insist(now);
            slot.rearm();
            slot.saves.forget();
        }
        self.pending.push(Pending { ticket, goal: Goal::Down, names });
    }

    /// Resolves names to services; a group stands for its members.
    pub(super) fn check(&self, names: &[Name]) -> Result<Vec<Name>, Message> {
        if self.ending.is_some() {
            return Err(ending());
        }
        self.members(names)
    }

    /// Like `resolve_names`, but also works during a shutdown.
    pub(super) fn members(&self, names: &[Name]) -> Result<Vec<Name>, Message> {
        let Some(stack) = &self.stack else { return Err(ending()) };
        let mut found = Vec::new();
        for name in names {
            let named = stack.services_named(name);
            if named.is_empty() {
                let all: Vec<&str> = stack.services.keys().map(Name::as_str).collect();
                return Err(Message::new(MessageClass::Usage, format!("unknown service `{name}`"))
                    .help(format!("available services: {}", all.join(", "))));
            }
            found.extend(named);
        }
        Ok(found)
    }

    pub(super) fn end(&mut self, now: Time, why: String, code: i32, haste: Haste) {
        match &mut self.ending {
            // The first reason counts; a later request can only make the shutdown immediate.
            Some(ending) => {
                if haste == Haste::Now {
                    ending.haste = Haste::Now;
                }
            }
            None => {
                let cap = now + SHUTDOWN_CAP;
                let why = Cause::Shutdown(why);
                self.ending = Some(Ending { why, code, haste, cap, told: false });
            }
        }
    }

    fn spawned(&mut self, now: Time, run: RunId, pid: u32, effects: &mut Vec<Effect>) {
        let Some(slot) = self.current(run) else { return };
        slot.saves.mark(now);
        slot.past.spawned = Some(now);
        match &mut slot.state {
            State::Launching { .. } => {
                let service = slot.service.clone();
                let probed = !service.ready.probes.is_empty();
                let debugged = service.mode.is_debug();
                if debugged {
                    slot.debugger = Listening::Awaited(now + service.ready.timeout);
                    effects.push(Effect::AwaitDebugger(run, service.clone()));
                }
                slot.state = match (service.kind, probed) {
                    (ServiceKind::Service, false) => {
                        slot.ready_after = Some(Duration::ZERO);
                        slot.robberies = 0;
                        slot.watch_health(run, effects);
                        State::Ready { run, pid, at: now, cause: Cause::NoProbe }
                    }
                    (ServiceKind::Task, false) => {
                        State::Starting { run, pid, spawned: now, ready_by: None }
                    }
                    (ServiceKind::Service | ServiceKind::Task, true) => {
                        effects.push(Effect::Probe(run, service.clone()));
                        let ready_by = (!debugged).then(|| now + service.ready.timeout);
                        State::Starting { run, pid, spawned: now, ready_by }
                    }
                };
            }
            State::Stopping { pid: known, .. } => *known = Some(pid),
            State::Idle
            | State::Starting { .. }
            | State::Late { .. }
            | State::Ready { .. }
            | State::Unwell { .. }
            | State::Draining { .. }
            | State::Backoff { .. }
            | State::Displaced { .. }
            | State::Over(_) => {}
        }
    }

    /// No retry: a missing program is a mistake of the user, not a crash.
    fn not_spawned(&mut self, run: RunId, message: Message) {
        let Some(slot) = self.current(run) else { return };
        let stopped = matches!(slot.state, State::Stopping { .. });
        slot.state = match slot.restart.take() {
            Some(_) => State::Idle,
            None if stopped => State::Idle,
            None => State::Over(Outcome::Failed(message)),
        };
        self.runs.remove(&run);
    }

    fn held(&mut self, now: Time, run: RunId, what: String, effects: &mut Vec<Effect>) {
        let Some(slot) = self.current(run) else { return };
        if let State::Starting { pid, spawned, .. } | State::Late { pid, spawned, .. } = slot.state
        {
            slot.ready_after = Some(now.saturating_sub(spawned));
            slot.failing = None;
            slot.robberies = 0;
            slot.state = State::Ready { run, pid, at: now, cause: Cause::ProbePassed(what) };
            slot.watch_health(run, effects);
        }
    }

    fn unwell(&mut self, run: RunId, why: String) {
        let Some(slot) = self.current(run) else { return };
        let State::Ready { pid, .. } = slot.state else { return };
        if slot.is_debugged() {
            return;
        }
        // `None`: reported before the configuration changed.
        let Some(health) = &slot.service.health else { return };
        let restarts = match health.action {
            HealthAction::Restart => true,
            HealthAction::Report => false,
        };
        let message = Message::new(MessageClass::Unhealthy, why.clone());
        slot.state = State::Unwell { run, pid, message };
        if restarts && slot.restart.is_none() {
            slot.restart = Some(Cause::HealthFailed(why));
        }
    }

    fn well(&mut self, now: Time, run: RunId) {
        let Some(slot) = self.current(run) else { return };
        if let State::Unwell { pid, .. } = slot.state {
            let cause = Cause::ProbePassed("healthy again".to_owned());
            slot.state = State::Ready { run, pid, at: now, cause };
        }
    }

    fn shift(&mut self, time: Duration) {
        if let Some(ending) = &mut self.ending {
            ending.cap += time;
        }
        for slot in self.slots.values_mut() {
            slot.shift(time);
        }
    }

    fn note(&mut self, run: RunId, message: Message, effects: &mut Vec<Effect>) {
        let Some(slot) = self.current(run) else { return };
        slot.note = Some(message.clone());
        let service = Some(slot.service.name.clone());
        effects.push(Effect::Tell(Event { service, what: EventKind::Note(message) }));
    }

    /// Reports each warning once for as long as it applies, across runs.
    fn remark(&mut self, run: RunId, messages: Vec<Message>, effects: &mut Vec<Effect>) {
        let Some(slot) = self.current(run) else { return };
        let told = std::mem::replace(&mut slot.remarked, messages.clone());
        let service = Some(slot.service.name.clone());
        let new = messages.iter().filter(|message| !told.contains(message)).cloned();
        let tell = |message| Event { service: service.clone(), what: EventKind::Note(message) };
        effects.extend(new.map(tell).map(Effect::Tell));
        slot.remarks = messages;
    }
}
