use std::fmt;
use std::sync::Arc;

use super::input::{Job, Ticket};
use crate::model::{
    Change, Command, Event, Happening, Message, Name, Run, Service, Span, Stop, signal_name,
};

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
    /// Find out when the debugger of a run listens, without connecting to it.
    AwaitDebugger(Run, Arc<Service>),
    /// Find out whether a run that ended before it was ready is to blame; nothing of it is left. To be answered
    /// with [`super::Input::Examined`].
    Examine(Run, Arc<Service>),
    /// Choose ports again for a service that lost one. To be answered with [`super::Input::Placed`].
    Place(Name),
    /// Send a signal to the main process of a run.
    Signal(Run, i32),
    /// Run a command of a service beside it; what it prints belongs to this run, when there was one.
    StartJob(Job, Arc<Service>, Option<Run>, Command),
    /// Ask a command to end, by SIGTERM.
    StopJob(Job),
    /// Kill all that is left of a command.
    KillJob(Job),
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
            Effect::AwaitDebugger(run, service) => {
                write!(f, "await debugger of {} {run}", service.name)
            }
            Effect::Examine(run, service) => write!(f, "examine {} {run}", service.name),
            Effect::Place(name) => write!(f, "place {name}"),
            Effect::Signal(run, signal) => {
                write!(f, "signal {run} {}", signal_name(*signal).unwrap_or("?"))
            }
            Effect::StartJob(job, service, _, command) => {
                write!(f, "start {job} {}: {}", service.name, command.line())
            }
            Effect::StopJob(job) => write!(f, "stop {job}"),
            Effect::KillJob(job) => write!(f, "kill {job}"),
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
        Happening::BuildStarted { command, path } => {
            write!(f, "building: {}: {} changed", command.line(), path.display())
        }
        Happening::Built { command, took } => {
            write!(f, "built: {} in {}", command.line(), Span(*took))
        }
        Happening::Signalled { signal, path } => {
            let name = signal_name(*signal).unwrap_or("?");
            write!(f, "signalled {name}: {} changed", path.display())
        }
        Happening::Note(message) => write!(f, "note [{}] {message}", message.class.as_str()),
        Happening::Attachable(place) => write!(f, "debug: {place}"),
        Happening::Settled { well: true } => f.write_str("settled"),
        Happening::Settled { well: false } => f.write_str("settled, not well"),
        Happening::Gone => f.write_str("gone"),
        Happening::Applied(plan) => {
            let lines: Vec<String> = plan.changes.iter().map(Change::to_string).collect();
            write!(f, "applied: {}", lines.join("; "))
        }
        Happening::ShuttingDown(why) => write!(f, "shutting down: {why}"),
    }
}
