//! A working service is not stopped if it could not start again because of a dependency: a request
//! is refused, and the restart for a change waits.

use super::failure::{RequestError, ServiceFailure, ServiceNotice};
use super::run_state::{LiveRun, RunStage};
use super::service_state::ServiceState;
use super::{Effect, Engine};
use crate::model::{Cause, EventKind, Message, Name};

/// A restart that waits for a dependency.
#[derive(Debug, Clone)]
pub(super) struct HeldRestart {
    cause: Cause,
    pub notice: Message,
}

impl Engine {
    /// Whether a service runs and is not stopping.
    pub fn is_up(&self, name: &Name) -> bool {
        self.services.get(name).and_then(ServiceState::live).is_some_and(LiveRun::is_up)
    }

    /// Returns why a restart of these services is refused: one of them runs and would not start
    /// again, because a dependency that is not restarted with it has failed or keeps crashing.
    pub fn restart_obstacle(&self, names: &[Name]) -> Option<RequestError> {
        let stalled = self.stalled_services();
        names.iter().filter(|name| self.is_up(name)).find_map(|name| {
            let state = self.services.get(name)?;
            self.dependency_failures(state, &stalled, ServiceState::stall_reason).find_map(
                |failure| match &failure {
                    ServiceFailure::DependencyFailed { on, .. }
                    | ServiceFailure::DependencyRestarts { on, .. }
                    | ServiceFailure::DependencyExited { on, .. }
                        if !names.contains(&on.service) =>
                    {
                        let (name, blocker) = (name.clone(), on.service.clone());
                        let failure = Box::new(failure);
                        Some(RequestError::NotRestarted { name, blocker, failure })
                    }
                    // A stopped dependency is started with it.
                    _ => None,
                },
            )
        })
    }

    /// Holds restarts for changes while a dependency could not let the service start again, until
    /// all are what it needs.
    pub(super) fn hold_restarts(&mut self, effects: &mut Vec<Effect>) {
        let asks = |state: &&ServiceState| state.held_restart.is_some() || state.may_be_held();
        if !self.services.values().any(|state| asks(&state)) {
            return;
        }
        let stalled = self.stalled_services();
        let finding = |state: &ServiceState| {
            let needs_none = self.unmet_dependencies(state).is_empty();
            let mut failures =
                self.dependency_failures(state, &stalled, ServiceState::stall_reason);
            (state.service.name.clone(), needs_none, failures.next())
        };
        let found: Vec<_> = self.services.values().filter(asks).map(finding).collect();
        for (name, needs_none, failure) in found {
            let Some(state) = self.services.get_mut(&name) else { continue };
            if needs_none {
                state.release_restart();
            } else if state.held_restart.is_some() || failure.is_some() {
                state.hold_restart(failure, effects);
            }
        }
    }
}

impl ServiceState {
    /// Whether it works and would be restarted only because something has changed.
    fn may_be_held(&self) -> bool {
        let changed =
            matches!(self.pending_restart, Some(Cause::FileChanged(_) | Cause::ConfigChanged(_)));
        let works = |run: &LiveRun| matches!(run.stage, RunStage::Ready { .. });
        // A switch to another mode was requested, and what is being debugged is not stopped later.
        let debugged = |run: &LiveRun| run.in_debug_mode() || self.service.mode.is_debug();
        changed && self.live().is_some_and(|run| works(run) && !debugged(run))
    }

    /// Holds its restart, and reports the failure that is the reason.
    fn hold_restart(&mut self, failure: Option<ServiceFailure>, effects: &mut Vec<Effect>) {
        let Some(cause) = self.may_be_held().then(|| self.pending_restart.take()).flatten() else {
            return;
        };
        match (&mut self.held_restart, failure) {
            (Some(held), _) => held.cause = cause,
            (None, Some(failure)) => {
                let notice = ServiceNotice::RestartHeld { failure }.message(&self.service.name);
                self.emit(EventKind::Note(notice.clone()), effects);
                self.held_restart = Some(HeldRestart { cause, notice });
            }
            (None, None) => {}
        }
    }

    fn release_restart(&mut self) {
        let held = self.held_restart.take();
        if self.live().is_some_and(LiveRun::is_up) && self.pending_restart.is_none() {
            self.pending_restart = held.map(|held| held.cause);
        }
    }

    /// Returns the reason of a restart that is due now that its run is over.
    pub(super) fn take_restart(&mut self) -> Option<Cause> {
        let held = self.held_restart.take();
        self.pending_restart.take().or(held.map(|held| held.cause))
    }
}
