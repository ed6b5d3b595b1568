//! The terminals of services, and the clients that attach to them.

use std::sync::Arc;

use super::Executor;
use crate::model::{Message, MessageClass, Name, RunId, Service, Stack};
use crate::terminal::{Attachment, ClientScreen, ServiceTerminal};

impl Executor {
    /// Passes on the new size of devstack's terminal.
    pub fn resize(&self, rows: u16, columns: u16) {
        self.processes.resize(rows, columns);
    }

    /// Attaches a client with this screen to the terminal of a service. Also returns the run to
    /// show.
    ///
    /// # Errors
    /// When the service has no terminal and its next run gets none, or when the screen is itself
    /// the terminal of a service.
    pub(crate) fn attach(
        &mut self,
        service: &Service,
        screen: ClientScreen,
    ) -> Result<(Attachment, Option<RunId>), Message> {
        if let Some(terminal) = screen.terminal {
            let mut consoles = self.consoles.iter();
            if let Some((name, _)) = consoles.find(|(_, console)| console.is_shown_on(terminal)) {
                return Err(in_a_service(name));
            }
        }
        let console = self.console(&service.name);
        let run = console.run();
        if run.is_none() && !self.processes.gives_terminal(service.tty) {
            return Err(no_terminal(service));
        }
        Ok((console.attach(screen.size), run))
    }

    /// Closes the terminals of services that are no longer in the stack.
    pub(crate) fn close_terminals(&mut self, stack: &Stack) {
        self.consoles.retain(|name, console| {
            let kept = stack.services.contains_key(name);
            if !kept {
                let text = format!("{name} is no longer in the stack");
                console.close(&Message::new(MessageClass::Usage, text));
            }
            kept
        });
    }

    pub(super) fn console(&mut self, service: &Name) -> Arc<ServiceTerminal> {
        self.consoles.entry(service.clone()).or_default().clone()
    }
}

/// The terminal would show its own output, endlessly.
fn in_a_service(name: &Name) -> Message {
    let text = format!("this is {name}'s own terminal: attaching here would loop its output");
    Message::new(MessageClass::Usage, text).help("attach from another terminal")
}

pub(super) fn no_terminal(service: &Service) -> Message {
    let name = &service.name;
    let message = Message::new(MessageClass::Spawn, format!("{name} has no terminal"));
    message.help(format!("set `tty = true` under [services.{name}]; it applies when you save"))
}
