//! Debug mode: only a request, a configuration change, losing a port before it is ready, or a shutdown stops
//! a service that may wait at a breakpoint. It has no readiness timeout and no health probes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::effect::Effect;
use super::failure::ServiceNotice;
use super::input::Ticket;
use super::kill_progress::KillProgress;
use super::requests::{PendingRequest, RequestGoal};
use super::run_state::{DebuggerState, LiveRun, RunStage, RunState};
use super::service_state::{EngineTime, ServiceState};
use super::{Engine, EventKind};
use crate::model::{Cause, MessageClass, Name, RunId, RunMode};

impl Engine {
    /// Adds a request that waits until these services run in run mode.
    pub(super) fn undebug(&mut self, ticket: Ticket, names: Vec<Name>, effects: &mut Vec<Effect>) {
        match self.resolve_names(&names) {
            Ok(names) => {
                self.requests.push(PendingRequest { ticket, goal: RequestGoal::Undebugged, names })
            }
            Err(error) => effects.push(Effect::Answer(ticket, Err(error))),
        }
    }

    pub(super) fn debugger_listening(&mut self, run: RunId, effects: &mut Vec<Effect>) {
        let Some(state) = self.live_service_mut(run) else { return };
        let Some(live) = state.live_mut() else { return };
        let RunMode::Debug(debugging) = live.facts.service.mode else { return };
        let before = std::mem::replace(&mut live.facts.debugger, DebuggerState::Seen);
        if before == DebuggerState::Missed {
            live.facts.note.take_if(|note| note.class == MessageClass::Port);
        }
        if before != DebuggerState::Seen {
            state.emit(EventKind::DebuggerListening(debugging.attach_hint()), effects);
        }
    }
}

impl ServiceState {
    /// Whether a run is live that a debugger can attach to.
    pub fn is_debugged(&self) -> bool {
        self.live().is_some_and(|run| run.is_up() && run.in_debug_mode())
    }

    /// `api: attach debugpy at 127.0.0.1:5678`
    pub fn describe_debug(&self) -> String {
        let name = &self.service.name;
        let mode = self.newest_run().map(|run| (run.service.mode, run.debugger));
        match mode {
            Some((RunMode::Debug(debugging), DebuggerState::Seen)) => {
                format!("{name}: {}", debugging.attach_hint())
            }
            Some((RunMode::Debug(debugging), _)) => {
                format!("{name}: in debug mode, but not listening on {}", debugging.address())
            }
            Some((RunMode::Run, _)) | None => format!("{name}: in run mode"),
        }
    }

    /// When the user is notified that no debugger can attach.
    pub fn debugger_deadline(&self) -> Option<EngineTime> {
        match self.live()?.facts.debugger {
            DebuggerState::Awaited(at) => self.is_debugged().then_some(at),
            DebuggerState::Unknown | DebuggerState::Seen | DebuggerState::Missed => None,
        }
    }

    /// Reports that no debugger can attach, once that is due.
    pub fn report_missing_debugger(&mut self, now: EngineTime, effects: &mut Vec<Effect>) {
        if self.debugger_deadline().is_none_or(|at| at > now) {
            return;
        }
        let RunState::Live(live) = &mut self.state else { return };
        let RunMode::Debug(debugging) = live.facts.service.mode else { return };
        live.facts.debugger = DebuggerState::Missed;
        let (address, limit) = (debugging.address(), self.service.ready.timeout);
        let message = ServiceNotice::NoDebugger { address, limit }.message(&self.service.name);
        live.facts.note.get_or_insert_with(|| message.clone());
        self.emit(EventKind::Note(message), effects);
    }

    /// Kills a debugged run that is slow to stop, because the user asked a second time.
    pub fn force_stop(&mut self, now: EngineTime) {
        let stage = self.live_mut().map(|run| &mut run.stage);
        if let Some(RunStage::Stopping { kill: kill @ KillProgress::Debugging(None), .. }) = stage {
            *kill = KillProgress::At(now);
        }
    }

    /// Defers a file change during debugging. Watch commands run once it is back in run mode.
    pub fn defer_change(&mut self, files: &BTreeMap<usize, PathBuf>, effects: &mut Vec<Effect>) {
        self.defer_commands(files);
        let Some(path) = files.values().next() else { return };
        if std::mem::replace(&mut self.saves.defer_reported, true) {
            return;
        }
        let path = path.strip_prefix(&self.service.launch.dir).unwrap_or(path);
        let path = path.display().to_string();
        let message = ServiceNotice::ChangeDeferred { path }.message(&self.service.name);
        self.emit(EventKind::Note(message.clone()), effects);
        if let Some(live) = self.live_mut() {
            live.facts.note = Some(message);
        }
    }

    /// Retries a service in debug mode that does not run, after any file change.
    pub fn retry_debug(&mut self, files: &BTreeMap<usize, PathBuf>) {
        self.defer_commands(files);
        let Some(path) = files.values().next() else { return };
        match &self.state {
            RunState::Idle | RunState::BackingOff { .. } | RunState::Finished(_) => {
                self.restart_with(Cause::FileChanged(path.clone()));
            }
            RunState::Live(LiveRun { stage: RunStage::Draining { .. }, .. }) => {
                self.restart_with(Cause::FileChanged(path.clone()));
            }
            // The next run starts after the change anyway.
            RunState::Live(_) | RunState::AwaitingPort { .. } => {}
        }
    }

    fn defer_commands(&mut self, files: &BTreeMap<usize, PathBuf>) {
        for (place, path) in files {
            let watch = self.service.watch.get(*place);
            if watch.is_some_and(|watch| watch.action.command().is_some()) {
                self.saves.deferred.insert(*place, path.clone());
            }
        }
    }
}

impl LiveRun {
    /// Whether it waits for a debugger before it continues.
    pub fn awaits_debugger(&self) -> bool {
        match self.facts.service.mode {
            RunMode::Debug(debugging) => {
                debugging.waits_for_debugger && self.facts.debugger == DebuggerState::Seen
            }
            RunMode::Run => false,
        }
    }
}
