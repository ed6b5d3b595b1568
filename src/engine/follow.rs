//! What file changes lead to, and when.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::input::Job;
use super::saves::{Life, Working};
use super::slot::{KillAt, Outcome, Slot, State, Time, Verdict};
use super::{Effect, Engine};
use crate::model::{
    Cause, Event, EventKind, Message, Name, ServiceKind, WatchAction, WatchId, signal_name,
};

impl Engine {
    pub(super) fn files_changed(
        &mut self,
        now: Time,
        files: BTreeMap<WatchId, PathBuf>,
        effects: &mut Vec<Effect>,
    ) {
        let mut all: BTreeMap<Name, BTreeMap<usize, PathBuf>> = BTreeMap::new();
        for (watched, path) in files {
            all.entry(watched.service).or_default().insert(watched.index, path);
        }
        for (name, files) in all {
            if let Some(slot) = self.slots.get_mut(&name).filter(|slot| slot.wanted()) {
                slot.saved(now, &files, effects);
            }
        }
    }

    pub(super) fn job_ended(
        &mut self,
        now: Time,
        job: Job,
        result: Result<(), Message>,
        effects: &mut Vec<Effect>,
    ) {
        let owns = |slot: &&mut Slot| slot.saves.job.as_ref().is_some_and(|own| own.job == job);
        if let Some(slot) = self.slots.values_mut().find(owns) {
            slot.job_ended(now, result, effects);
        }
    }
}

impl Slot {
    fn saved(&mut self, now: Time, files: &BTreeMap<usize, PathBuf>, effects: &mut Vec<Effect>) {
        if self.is_debugged() {
            return self.hold_save(files, effects);
        }
        if !self.heeds(now, files, effects) {
            return;
        }
        if self.service.mode.is_debug() {
            return self.retry_debug(files);
        }
        // If the watch was removed since the change was seen, the first one stands in for it.
        let watches = files.iter().filter_map(|(place, path)| {
            let place = if *place < self.service.watch.len() { *place } else { 0 };
            let watch = self.service.watch.get(place)?;
            Some((place, path, watch.action.clone()))
        });
        let watches: Vec<_> = watches.collect();
        let round = watches.iter().any(|(_, _, action)| action.command().is_some());
        for (place, path, action) in watches {
            let path = path.clone();
            match action {
                WatchAction::Restart { build: Some(_) } | WatchAction::Run(_) => {
                    self.saves.due.insert(place, path);
                }
                WatchAction::Restart { build: None } if round => self.saves.swap = Some(path),
                WatchAction::Restart { build: None } => self.renew(Cause::FileChanged(path)),
                WatchAction::Signal(number) if round => drop(self.saves.later.insert(number, path)),
                WatchAction::Signal(number) => drop(self.saves.signals.insert(number, path)),
            }
        }
    }

    fn job_ended(&mut self, now: Time, result: Result<(), Message>, effects: &mut Vec<Effect>) {
        let Some(Working { place, path, began, life, .. }) = self.saves.job.take() else { return };
        self.saves.mark(now);
        if life != Life::Useful {
            return;
        }
        let action = self.service.watch.get(place).map(|watch| watch.action.clone());
        let Some((action, command)) =
            action.and_then(|action| action.command().cloned().map(|command| (action, command)))
        else {
            return;
        };
        let again = self.saves.due.contains_key(&place);
        match result {
            Ok(()) => {
                self.saves.failed.remove(&place);
                match action {
                    WatchAction::Restart { .. } => self.saves.swap = Some(path),
                    WatchAction::Run(_) | WatchAction::Signal(_) => self.saves.revive = Some(path),
                }
                let took = now.saturating_sub(began);
                self.say(EventKind::Built { command, took }, effects);
            }
            // The file it failed on has changed since.
            Err(_) if again => {}
            Err(message) => {
                self.saves.spoiled |= matches!(action, WatchAction::Restart { .. });
                self.saves.failed.insert(place, (path, message.clone()));
                self.say(EventKind::Note(message), effects);
            }
        }
        self.judge_during(now, effects);
    }

    /// Runs the queued actions that can run now.
    pub(super) fn follow_saves(&mut self, now: Time, jobs: &mut u64, effects: &mut Vec<Effect>) {
        if !self.wanted() {
            self.saves.forget();
        }
        if self.saves.job.as_ref().is_some_and(|working| working.life == Life::Unwanted) {
            self.saves.stop(KillAt::At(now + self.service.stop.grace), effects);
        }
        if self.saves.job.is_none() && !self.begin_job(now, jobs, effects) {
            self.end_round();
        }
        self.send_signals(now, effects);
    }

    /// Starts the next queued command. Returns false if there is none.
    fn begin_job(&mut self, now: Time, jobs: &mut u64, effects: &mut Vec<Effect>) -> bool {
        while let Some((place, path)) = self.saves.due.pop_first() {
            let watch = self.service.watch.get(place);
            let Some(command) = watch.and_then(|watch| watch.action.command()).cloned() else {
                continue;
            };
            *jobs += 1;
            let job = Job(*jobs);
            let action = format!("run {}", command.line());
            self.past.triggered(now, path.clone(), action);
            self.say(
                EventKind::BuildStarted { command: command.clone(), path: path.clone() },
                effects,
            );
            effects.push(Effect::StartJob(job, self.service.clone(), self.run, command));
            self.saves.mark(now);
            let life = Life::Useful;
            self.saves.job = Some(Working { job, place, path, began: now, life });
            return true;
        }
        false
    }

    /// Restarts or signals the service once every command of the round has exited.
    fn end_round(&mut self) {
        let spoiled = std::mem::take(&mut self.saves.spoiled);
        let (swap, revive) = (self.saves.swap.take(), self.saves.revive.take());
        if let Some(path) = swap.filter(|_| !spoiled) {
            self.renew(Cause::FileChanged(path));
        } else if let Some(path) = revive.filter(|_| self.is_down()) {
            self.renew(Cause::FileChanged(path));
        }
        let later = std::mem::take(&mut self.saves.later);
        self.saves.signals.extend(later);
    }

    /// Whether it has failed or backs off after a failure: then any change is a reason to retry.
    fn is_down(&self) -> bool {
        match &self.state {
            State::Backoff { .. }
            | State::Over(Outcome::Failed(_))
            | State::Draining {
                verdict: Verdict::Unexpected(_) | Verdict::Unclear(_) | Verdict::Unwell(_),
                ..
            } => true,
            State::Idle
            | State::Launching { .. }
            | State::Starting { .. }
            | State::Late { .. }
            | State::Ready { .. }
            | State::Unwell { .. }
            | State::Stopping { .. }
            | State::Draining {
                verdict: Verdict::ByUs | Verdict::Expected(_) | Verdict::Robbed(_),
                ..
            }
            | State::Displaced { .. }
            | State::Over(Outcome::Done(_)) => false,
        }
    }

    /// Signals the run once it is ready; an earlier signal would kill many programs.
    fn send_signals(&mut self, now: Time, effects: &mut Vec<Effect>) {
        if self.saves.signals.is_empty() {
            return;
        }
        let run = match self.state {
            State::Ready { run, .. } | State::Unwell { run, .. } => Some(run),
            // A task does not become ready.
            State::Starting { run, .. } if self.service.kind == ServiceKind::Task => Some(run),
            State::Launching { .. } | State::Starting { .. } | State::Late { .. } => return,
            State::Idle
            | State::Stopping { .. }
            | State::Draining { .. }
            | State::Backoff { .. }
            | State::Displaced { .. }
            | State::Over(_) => None,
        };
        let signals = std::mem::take(&mut self.saves.signals);
        if self.is_down()
            && let Some(path) = signals.values().next()
        {
            return self.renew(Cause::FileChanged(path.clone()));
        }
        let Some(run) = run.filter(|_| self.restart.is_none()) else { return };
        self.saves.mark(now);
        for (signal, path) in signals {
            effects.push(Effect::Signal(run, signal));
            let name = signal_name(signal).map_or_else(|| signal.to_string(), str::to_owned);
            self.past.triggered(now, path.clone(), format!("signal {name}"));
            self.say(EventKind::Signalled { signal, path }, effects);
        }
    }

    /// Queues unfinished work again after the watches or the environment of their commands changed.
    pub(super) fn rebuild(&mut self) {
        self.saves.interrupt();
        let due = std::mem::take(&mut self.saves.due).into_values();
        let failed = std::mem::take(&mut self.saves.failed).into_values();
        let Some(path) = due.chain(failed.map(|(path, _)| path)).next() else { return };
        for (place, watch) in self.service.watch.iter().enumerate() {
            match &watch.action {
                WatchAction::Restart { build: Some(_) } | WatchAction::Run(_) => {
                    self.saves.due.insert(place, path.clone());
                }
                WatchAction::Restart { build: None } => self.saves.swap = Some(path.clone()),
                WatchAction::Signal(_) => {}
            }
        }
    }

    pub(super) fn say(&self, what: EventKind, effects: &mut Vec<Effect>) {
        effects.push(Effect::Tell(Event { service: Some(self.service.name.clone()), what }));
    }
}
