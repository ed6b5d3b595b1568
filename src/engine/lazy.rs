//! Services that sleep until a client or a dependent needs them.

use std::cell::LazyCell;
use std::sync::Arc;

use super::Engine;
use super::failure::ServiceFailure;
use super::run_state::{LiveRun, RunStage, RunState, ServiceOutcome};
use super::service_state::{DesiredState, ServiceState};
use crate::model::{Cause, Message, Name, Service};

/// What devstack does on the port of a lazy service.
#[derive(Debug, Clone, Copy)]
pub struct Door<'a> {
    pub service: &'a Arc<Service>,
    /// The service as its run was started that takes connections now; `None`: clients wait.
    pub open_to: Option<&'a Arc<Service>>,
}

impl Engine {
    /// Returns the lazy services on whose ports devstack listens: they are asleep, run, or are about
    /// to start. Those that were stopped or failed are left out. Empty during a shutdown.
    pub fn doors(&self) -> impl Iterator<Item = Door<'_>> {
        // In most stacks there is nothing to ask it for.
        let blocked = LazyCell::new(|| self.blocked_services());
        let kept = move |state: &&ServiceState| {
            let over = matches!(state.state, RunState::Finished(_));
            state.service.lazy.is_some()
                && (state.wanted() || state.is_asleep())
                && !over
                && !blocked.contains_key(&state.service.name)
        };
        let services = self.services.values().filter(|_| self.shutdown.is_none());
        services.filter(kept).map(|state| Door { service: &state.service, open_to: state.opened() })
    }

    pub(super) fn connected(&mut self, name: &Name) {
        if let Some(state) = self.services.get_mut(name).filter(|_| self.shutdown.is_none()) {
            state.wake(Cause::Connected);
        }
    }

    /// Puts a service to sleep that has had no connection for long, unless something needs it.
    pub(super) fn unused(&mut self, name: &Name) {
        if self.is_needed(name) {
            return;
        }
        if let Some(state) = self.services.get_mut(name)
            && state.may_sleep()
            && let DesiredState::Yes(why) = &state.desired
        {
            state.desired = DesiredState::Asleep(why.clone());
        }
    }

    /// Nothing can listen for a lazy service, so nothing would wake it.
    pub(super) fn door_failed(&mut self, name: &Name, message: Message) {
        let Some(state) = self.services.get_mut(name) else { return };
        state.wake(Cause::Connected);
        if let RunState::Idle = state.state {
            let failure = ServiceFailure::NotStarted(message);
            state.state = RunState::Finished(ServiceOutcome::Failed(failure));
        }
    }

    /// Wakes what the services need that are about to start.
    pub(super) fn wake_needed(&mut self) {
        if !self.services.values().any(ServiceState::is_asleep) {
            return;
        }
        // Dependents first, so that a whole chain wakes at once.
        for name in self.order.iter().rev() {
            let Some(state) = self.services.get(name).filter(|it| it.is_waiting_to_start()) else {
                continue;
            };
            let service = state.service.clone();
            for need in service.depends_on.keys() {
                if let Some(needed) = self.services.get_mut(need) {
                    needed.wake(Cause::NeededBy(name.clone()));
                }
            }
        }
    }

    /// Whether a service that runs, or should, depends on this one.
    fn is_needed(&self, name: &Name) -> bool {
        let needs = |state: &ServiceState| {
            let over = matches!(state.state, RunState::Finished(_));
            let runs = (state.wanted() && !over) || state.live().is_some();
            runs && state.service.depends_on.contains_key(name)
        };
        self.services.values().any(needs)
    }
}

impl ServiceState {
    /// Returns the service as its live run was started, if that takes connections.
    fn opened(&self) -> Option<&Arc<Service>> {
        match &self.state {
            RunState::Live(LiveRun {
                stage: RunStage::Ready { .. } | RunStage::Unhealthy { .. },
                facts,
                ..
            }) => Some(&facts.service),
            RunState::Live(_)
            | RunState::Idle
            | RunState::BackingOff { .. }
            | RunState::AwaitingPort { .. }
            | RunState::Finished(_) => None,
        }
    }

    fn may_sleep(&self) -> bool {
        let idle = self.service.lazy.and_then(|lazy| lazy.idle);
        let rests = matches!(self.stage(), Some(RunStage::Ready { .. }));
        let debugged = self.live().is_some_and(LiveRun::in_debug_mode);
        let busy = self.pending_restart.is_some() || self.saves.is_working();
        idle.is_some() && rests && !debugged && !busy
    }
}
