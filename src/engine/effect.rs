use std::fmt;
use std::sync::Arc;

use super::input::Ticket;
use crate::model::{Change, Event, Happening, Message, Run, Service, Stop, signal_name};

/// An order of the engine, carried out without waiting for its result.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Start the main process of a service as this run.
    Spawn(Run, Arc<Service>),
    /// Ask a run to end, by signal or command.
    Stop(Run, Stop),
    /// Kill the whole tree of a run.
    Kill(Run),
    /// Begin to probe whether a run is ready; in place of an earlier probing.
    Probe(Run, Arc<Service>),
    /// Begin to look after the health of a run that is ready.
    WatchHealth(Run, Arc<Service>),
    /// Tell the world what happened.
    Tell(Event),
    /// A request took effect, or never will.
    Answer(Ticket, Result<String, Message>),
    /// Everything is over: end with this exit code.
    Halt(i32),
}

/// One line; golden traces in tests are made of these.
impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Effect::Spawn(run, service) => write!(f, "spawn {} {run}", service.name),
            Effect::Stop(run, Stop { command: Some(_), .. }) => write!(f, "stop {run} by command"),
            Effect::Stop(run, Stop { signal, .. }) => {
                write!(f, "stop {run} {}", signal_name(*signal).unwrap_or("?"))
            }
            Effect::Kill(run) => write!(f, "kill {run}"),
            Effect::Probe(run, service) => write!(f, "probe {} {run}", service.name),
            Effect::WatchHealth(run, service) => write!(f, "watch health {} {run}", service.name),
            Effect::Tell(event) => write_event(f, event),
            Effect::Answer(ticket, Ok(text)) => write!(f, "answer {}: {text}", ticket.0),
            Effect::Answer(ticket, Err(message)) => {
                write!(f, "refuse {}: [{}] {message}", ticket.0, message.class.as_str())
            }
            Effect::Halt(code) => write!(f, "halt {code}"),
        }
    }
}

fn write_event(f: &mut fmt::Formatter<'_>, event: &Event) -> fmt::Result {
    f.write_str("tell ")?;
    if let Some(name) = &event.service {
        write!(f, "{name} ")?;
    }
    match &event.what {
        Happening::Phase { to, cause, run: Some(run), from: _ } => write!(f, "{to} {run}: {cause}"),
        Happening::Phase { to, cause, run: None, from: _ } => write!(f, "{to}: {cause}"),
        Happening::Ended { run, exit, unexpected: true } => {
            write!(f, "ended {run}: {exit}, unexpected")
        }
        Happening::Ended { run, exit, unexpected: false } => write!(f, "ended {run}: {exit}"),
        Happening::Note(message) => write!(f, "note [{}] {message}", message.class.as_str()),
        Happening::Settled { well: true } => f.write_str("settled"),
        Happening::Settled { well: false } => f.write_str("settled, not well"),
        Happening::Applied(plan) => {
            let lines: Vec<String> = plan.changes.iter().map(Change::to_string).collect();
            write!(f, "applied: {}", lines.join("; "))
        }
        Happening::ShuttingDown(why) => write!(f, "shutting down: {why}"),
    }
}
