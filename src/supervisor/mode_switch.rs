//! Entering and leaving debug mode: another mode means another stack, made from the last
//! configuration read.

use tokio::sync::oneshot;

use super::reload::{LoadedStack, ReloadBaseline, join_messages};
use super::supervisor::Supervisor;
use super::supervisor_handle::{ControlRequest, RequestResult};
use crate::config::DebugServices;
use crate::engine::Input;
use crate::model::{Message, MessageClass, Name, Stack};

/// A mode request that waits for its stack.
pub(super) struct ModeSwitch {
    names: Vec<Name>,
    /// Whether to enter debug mode.
    on: bool,
    tell: oneshot::Sender<RequestResult>,
}

impl Supervisor {
    /// Handles a mode request.
    pub(super) fn take_switch(
        &mut self,
        names: Vec<Name>,
        on: bool,
        tell: oneshot::Sender<RequestResult>,
    ) {
        let names: Vec<Name> =
            names.iter().flat_map(|name| self.stack().services_named(name)).collect();
        match self.refusal(&names, on) {
            // The client may have left.
            Some(refusal) => drop(tell.send(Err(refusal))),
            None => {
                self.cancel_opposite(&names, on);
                self.switches.push(ModeSwitch { names, on, tell });
                self.reloader.modes_changed();
            }
        }
    }

    /// The last request wins: requests for the opposite mode fail.
    fn cancel_opposite(&mut self, names: &[Name], on: bool) {
        let opposite = |switch: &mut ModeSwitch| {
            switch.on != on && switch.names.iter().any(|name| names.contains(name))
        };
        for ModeSwitch { tell, .. } in self.switches.extract_if(.., opposite) {
            let text = "superseded by a request for the other mode";
            // The client may have left.
            let _ = tell.send(Err(Message::new(MessageClass::Busy, text)));
        }
    }

    /// Returns why a mode request is impossible, if it is.
    fn refusal(&self, names: &[Name], on: bool) -> Option<Message> {
        if self.engine.is_ending() {
            return Some(Message::new(MessageClass::NotRunning, "the stack is stopping"));
        }
        let is_other = |name: &&Name| {
            self.stack().services.get(*name).is_some_and(|service| service.mode.is_debug() != on)
        };
        let restarted: Vec<Name> = names.iter().filter(is_other).cloned().collect();
        if let Some(error) = self.engine.restart_obstacle(&restarted) {
            return Some(error.message());
        }
        let can = |name: &Name| {
            self.stack().services.get(name).is_some_and(|service| service.debug.is_some())
        };
        let cannot = names.iter().filter(|_| on).find(|name| !can(name))?;
        let with = self.stack().services.keys().filter(|name| can(name));
        Some(no_debug_entry(cannot, with))
    }

    /// The reload baseline with the modes of all waiting requests.
    pub(super) fn present_switched(&self) -> ReloadBaseline {
        let mut situation = self.load_constraints();
        for ModeSwitch { names, on, .. } in &self.switches {
            match on {
                true => {
                    situation.asked.extend(names.iter().cloned());
                    situation.debugged.extend(names.iter().cloned());
                }
                false => {
                    situation.asked.retain(|name| !names.contains(name));
                    situation.debugged.retain(|name| !names.contains(name));
                }
            }
        }
        ReloadBaseline::of(self.stack(), situation)
    }

    /// Applies a stack made for mode requests, which then wait for its effects. A request that came
    /// in meanwhile may need yet another stack.
    pub(super) fn switched(&mut self, made: LoadedStack, inputs: &mut Vec<Input>) {
        let stack = made.stack;
        self.load_notes(made.notes);
        inputs.push(Input::Apply(stack.clone()));
        for switch in std::mem::take(&mut self.switches) {
            // A service may have been removed or lost its `debug` entry since the request.
            let is_made = |name: &Name| {
                let service = stack.services.get(name);
                service.is_none_or(|service| {
                    service.mode.is_debug() == switch.on || service.debug.is_none()
                })
            };
            if !switch.names.iter().all(is_made) {
                self.switches.push(switch);
                self.reloader.modes_changed();
                continue;
            }
            let ModeSwitch { names, on, tell } = switch;
            let ticket = self.ticket(tell);
            inputs.push(ControlRequest::Debug { names, on }.into_input(ticket));
        }
    }

    pub(super) fn not_switched(&mut self, why: &[Message]) {
        for ModeSwitch { tell, .. } in std::mem::take(&mut self.switches) {
            // The client may have left.
            let _ = tell.send(Err(join_messages(why)));
        }
    }
}

/// Notes on services that were in debug mode but no longer have a `debug` entry.
pub(super) fn without_debug_entry<'a>(
    stack: &'a Stack,
    debugged: &'a DebugServices,
) -> impl Iterator<Item = Message> {
    let services = debugged.iter().filter_map(|name| stack.services.get(name));
    services.filter(|service| service.debug.is_none()).map(|service| {
        let text = format!("{} no longer has a `debug` entry: back in run mode", service.name);
        Message::new(MessageClass::Config, text)
    })
}

/// The error for debugging a service without a `debug` entry.
pub(crate) fn no_debug_entry<'a>(service: &Name, with: impl Iterator<Item = &'a Name>) -> Message {
    let message = Message::new(MessageClass::Usage, format!("{service} has no `debug` entry"));
    let with: Vec<&str> = with.map(Name::as_str).collect();
    match with.as_slice() {
        [] => message
            .help(format!("add one under [services.{service}]: debug = {{ command = \"…\" }}")),
        with => message.help(format!("services that have one: {}", with.join(", "))),
    }
}
