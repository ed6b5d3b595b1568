//! What file changes lead to, and when.

mod restart_loop;
mod watch_actions;

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::input::JobId;
use super::kill_progress::KillProgress;
use super::run_state::{ExitVerdict, LiveRun, RunStage, RunState, ServiceOutcome};
use super::service_state::{EngineTime, ServiceState};
use super::{Effect, Engine};
use crate::model::{Cause, Event, EventKind, Message, Name, WatchAction, WatchId, signal_name};
pub(super) use watch_actions::WatchActions;
use watch_actions::{JobStage, RunningJob};

impl Engine {
    pub(super) fn files_changed(
        &mut self,
        now: EngineTime,
        files: BTreeMap<WatchId, PathBuf>,
        effects: &mut Vec<Effect>,
    ) {
        let mut all: BTreeMap<Name, BTreeMap<usize, PathBuf>> = BTreeMap::new();
        for (watched, path) in files {
            all.entry(watched.service).or_default().insert(watched.index, path);
        }
        for (name, files) in all {
            if let Some(state) = self.services.get_mut(&name).filter(|state| state.wanted()) {
                state.files_changed(now, &files, effects);
            }
        }
    }

    pub(super) fn job_ended(
        &mut self,
        now: EngineTime,
        job: JobId,
        result: Result<(), Message>,
        effects: &mut Vec<Effect>,
    ) {
        let mut states = self.services.values_mut();
        if let Some(state) = states.find(|state| state.saves.runs_job(job)) {
            state.job_ended(now, result, effects);
        }
    }
}

impl ServiceState {
    fn files_changed(
        &mut self,
        now: EngineTime,
        files: &BTreeMap<usize, PathBuf>,
        effects: &mut Vec<Effect>,
    ) {
        if self.is_debugged() {
            return self.defer_change(files, effects);
        }
        if !self.accepts_change(now, files, effects) {
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
                    self.saves.queued.insert(place, path);
                }
                WatchAction::Restart { build: None } if round => {
                    self.saves.restart_after = Some(path)
                }
                WatchAction::Restart { build: None } => self.restart_with(Cause::FileChanged(path)),
                WatchAction::Signal(number) if round => {
                    drop(self.saves.signals_after.insert(number, path))
                }
                WatchAction::Signal(number) => drop(self.saves.signals.insert(number, path)),
            }
        }
    }

    fn job_ended(
        &mut self,
        now: EngineTime,
        result: Result<(), Message>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(RunningJob { place, path, began, life, .. }) = self.saves.job.take() else {
            return;
        };
        self.saves.last_activity(now);
        if let JobStage::Ending(KillProgress::Survived(_)) = life {
            self.saves.failed.remove(&place);
        }
        if life != JobStage::Useful {
            return;
        }
        let action = self.service.watch.get(place).map(|watch| watch.action.clone());
        let Some((action, command)) =
            action.and_then(|action| action.command().cloned().map(|command| (action, command)))
        else {
            return;
        };
        let again = self.saves.queued.contains_key(&place);
        match result {
            Ok(()) => {
                self.saves.failed.remove(&place);
                self.saves.failed_builds.remove(&place);
                match action {
                    WatchAction::Restart { .. } => self.saves.restart_after = Some(path),
                    WatchAction::Run(_) | WatchAction::Signal(_) => {
                        self.saves.start_after = Some(path)
                    }
                }
                let took = now.saturating_sub(began);
                self.emit(EventKind::Built { command, took }, effects);
            }
            // The file it failed on has changed since.
            Err(_) if again => {}
            Err(message) => {
                if matches!(action, WatchAction::Restart { .. }) {
                    self.saves.failed_builds.insert(place);
                }
                self.saves.failed.insert(place, (path, message.clone()));
                self.emit(EventKind::Note(message), effects);
            }
        }
        self.judge_change_during_job(now, effects);
    }

    /// Runs the queued actions that can run now.
    pub(super) fn run_due_actions(
        &mut self,
        now: EngineTime,
        jobs: &mut u64,
        effects: &mut Vec<Effect>,
    ) {
        if !self.wanted() {
            self.saves.clear();
        }
        if self.saves.job.as_ref().is_some_and(|working| working.life == JobStage::Unwanted) {
            self.saves.stop(now + self.service.stop.grace, effects);
        }
        if self.saves.job.is_none() && !self.start_next_job(now, jobs, effects) {
            self.finish_round();
        }
        self.send_signals(now, effects);
    }

    /// Starts the next queued command. Returns false if there is none.
    fn start_next_job(
        &mut self,
        now: EngineTime,
        jobs: &mut u64,
        effects: &mut Vec<Effect>,
    ) -> bool {
        while let Some((place, path)) = self.saves.queued.pop_first() {
            let watch = self.service.watch.get(place);
            let Some(command) = watch.and_then(|watch| watch.action.command()).cloned() else {
                continue;
            };
            *jobs += 1;
            let job = JobId(*jobs);
            let action = format!("run {}", command.line());
            self.past.triggered(now, path.clone(), action);
            self.emit(
                EventKind::BuildStarted { command: command.clone(), path: path.clone() },
                effects,
            );
            let run = self.newest_run().map(|run| run.id);
            effects.push(Effect::StartJob(job, self.service.clone(), run, command));
            self.saves.last_activity(now);
            let life = JobStage::Useful;
            self.saves.job = Some(RunningJob { job, place, path, began: now, life });
            return true;
        }
        false
    }

    /// Restarts or signals the service once every command of the round has exited.
    fn finish_round(&mut self) {
        let spoiled = !std::mem::take(&mut self.saves.failed_builds).is_empty();
        let (swap, revive) = (self.saves.restart_after.take(), self.saves.start_after.take());
        if let Some(path) = swap.filter(|_| !spoiled) {
            self.restart_with(Cause::FileChanged(path));
        } else if let Some(path) = revive.filter(|_| self.has_failed()) {
            self.restart_with(Cause::FileChanged(path));
        }
        let later = std::mem::take(&mut self.saves.signals_after);
        self.saves.signals.extend(later);
    }

    /// Whether it has failed or backs off after a failure: then any change is a reason to retry.
    fn has_failed(&self) -> bool {
        match &self.state {
            RunState::BackingOff { .. } | RunState::Finished(ServiceOutcome::Failed(_)) => true,
            RunState::Live(LiveRun { stage: RunStage::Draining { verdict, .. }, .. }) => {
                match verdict {
                    ExitVerdict::Unexpected(_)
                    | ExitVerdict::Undecided(_)
                    | ExitVerdict::Unhealthy(_) => true,
                    ExitVerdict::Requested
                    | ExitVerdict::Expected(_)
                    | ExitVerdict::PortLost(_) => false,
                }
            }
            RunState::Idle
            | RunState::Live(_)
            | RunState::AwaitingPort { .. }
            | RunState::Finished(ServiceOutcome::Done(_)) => false,
        }
    }

    /// Signals the run once it is ready; an earlier signal would kill many programs.
    fn send_signals(&mut self, now: EngineTime, effects: &mut Vec<Effect>) {
        if self.saves.signals.is_empty() {
            return;
        }
        let run = match self.live().map(|run| (run.facts.id, &run.stage)) {
            Some((run, RunStage::Ready { .. } | RunStage::Unhealthy { .. })) => Some(run),
            // A task does not become ready.
            Some((run, RunStage::Starting { .. })) if self.service.kind.is_task() => Some(run),
            Some((
                _,
                RunStage::Launching { .. } | RunStage::Starting { .. } | RunStage::Late { .. },
            )) => return,
            Some((_, RunStage::Stopping { .. } | RunStage::Draining { .. })) | None => None,
        };
        let signals = std::mem::take(&mut self.saves.signals);
        if self.has_failed()
            && let Some(path) = signals.values().next()
        {
            return self.restart_with(Cause::FileChanged(path.clone()));
        }
        let Some(run) = run.filter(|_| self.pending_restart.is_none()) else { return };
        self.saves.last_activity(now);
        for (signal, path) in signals {
            effects.push(Effect::Signal(run, signal));
            let name = signal_name(signal).map_or_else(|| signal.to_string(), str::to_owned);
            self.past.triggered(now, path.clone(), format!("signal {name}"));
            self.emit(EventKind::Signalled { signal, path }, effects);
        }
    }

    /// Queues unfinished work again after the watches or the environment of their commands changed.
    pub(super) fn requeue(&mut self) {
        self.saves.interrupt();
        let due = std::mem::take(&mut self.saves.queued).into_values();
        let failed = std::mem::take(&mut self.saves.failed).into_values();
        let Some(path) = due.chain(failed.map(|(path, _)| path)).next() else { return };
        for (place, watch) in self.service.watch.iter().enumerate() {
            match &watch.action {
                WatchAction::Restart { build: Some(_) } | WatchAction::Run(_) => {
                    self.saves.queued.insert(place, path.clone());
                }
                WatchAction::Restart { build: None } => {
                    self.saves.restart_after = Some(path.clone())
                }
                WatchAction::Signal(_) => {}
            }
        }
    }

    pub(super) fn emit(&self, what: EventKind, effects: &mut Vec<Effect>) {
        effects.push(Effect::Emit(Event { service: Some(self.service.name.clone()), what }));
    }
}
