use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::failure::RequestError;
use super::input::{JobId, Ticket};
use crate::model::{
    CommandLine, DisplayDuration, Event, EventKind, Name, RunId, Service, ServiceChange,
    StopConfig, signal_name,
};

/// An order from the engine, carried out without waiting for its result.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Find out whether another process has a port of a service that is about to start. Answered
    /// with [`super::Input::PortsInspected`].
    InspectPorts {
        /// The service as it would start.
        service: Arc<Service>,
        /// Whether it has not run before, so that nothing of its own can have its port.
        first: bool,
        /// A port that it could not bind because of closed connections.
        lingering: Option<u16>,
        /// Where its data is, if it had another name before: to be moved if the service may start.
        former_data: Option<PathBuf>,
    },
    /// Spawn the main process of a service as this run.
    Spawn(RunId, Arc<Service>),
    /// Ask a run to exit, by signal or command.
    Stop(RunId, StopConfig),
    /// Kill the process tree of a run.
    Kill(RunId),
    /// Find out what is left of a tree that was killed and is not gone. Answered with
    /// [`super::Input::Survived`], or with the end of the tree if nothing of it is known.
    InspectSurvivors(KilledTree),
    /// Start the readiness probes of a run, replacing earlier ones.
    StartReadyProbes(RunId, Arc<Service>),
    /// Start the health probes of a ready run.
    StartHealthProbes(RunId, Arc<Service>),
    /// Find out when the debugger of a run is listening, without connecting to it.
    AwaitDebugger(RunId, Arc<Service>),
    /// Find out whether an early exit was the fault of the service; nothing of the run is left.
    /// Answered with [`super::Input::ExitInvestigated`].
    InvestigateExit(RunId, Arc<Service>),
    /// Choose new ports for a service. Answered with [`super::Input::PortsReassigned`].
    ReassignPorts(Name),
    /// Send a signal to the main process of a run.
    Signal(RunId, i32),
    /// Run a watch command of a service; its output belongs to this run, if there is one.
    StartJob(JobId, Arc<Service>, Option<RunId>, CommandLine),
    /// Send SIGTERM to a watch command.
    StopJob(JobId),
    /// Kill everything left of a watch command.
    KillJob(JobId),
    /// Publish an event.
    Emit(Event),
    /// Answer a request that took effect or never will.
    Answer(Ticket, Result<String, RequestError>),
    /// Exit with this code; nothing is left.
    Exit(i32),
}

/// A process tree that was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KilledTree {
    Run(RunId),
    /// That of a watch command.
    Job(JobId),
}

impl fmt::Display for KilledTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KilledTree::Run(run) => run.fmt(f),
            KilledTree::Job(job) => job.fmt(f),
        }
    }
}

/// One line; the golden traces in tests consist of these.
impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Effect::InspectPorts { service, .. } => write!(f, "inspect {}", service.name),
            Effect::Spawn(run, service) => write!(f, "spawn {} {run}", service.name),
            Effect::Stop(run, StopConfig { command: Some(_), .. }) => {
                write!(f, "stop {run} by command")
            }
            Effect::Stop(run, StopConfig { signal, .. }) => {
                write!(f, "stop {run} {}", signal_name(*signal).unwrap_or("?"))
            }
            Effect::Kill(run) => write!(f, "kill {run}"),
            Effect::InspectSurvivors(tree) => write!(f, "inspect what is left of {tree}"),
            Effect::StartReadyProbes(run, service) => write!(f, "probe {} {run}", service.name),
            Effect::StartHealthProbes(run, service) => {
                write!(f, "watch health {} {run}", service.name)
            }
            Effect::AwaitDebugger(run, service) => {
                write!(f, "await debugger of {} {run}", service.name)
            }
            Effect::InvestigateExit(run, service) => write!(f, "examine {} {run}", service.name),
            Effect::ReassignPorts(name) => write!(f, "place {name}"),
            Effect::Signal(run, signal) => {
                write!(f, "signal {run} {}", signal_name(*signal).unwrap_or("?"))
            }
            Effect::StartJob(job, service, _, command) => {
                write!(f, "start {job} {}: {}", service.name, command.line())
            }
            Effect::StopJob(job) => write!(f, "stop {job}"),
            Effect::KillJob(job) => write!(f, "kill {job}"),
            Effect::Emit(event) => write_event(f, event),
            Effect::Answer(ticket, Ok(text)) => write!(f, "answer {}: {text}", ticket.0),
            Effect::Answer(ticket, Err(error)) => {
                let message = error.message();
                write!(f, "refuse {}: [{}] {message}", ticket.0, message.class)
            }
            Effect::Exit(code) => write!(f, "halt {code}"),
        }
    }
}

fn write_event(f: &mut fmt::Formatter<'_>, event: &Event) -> fmt::Result {
    f.write_str("tell ")?;
    if let Some(name) = &event.service {
        write!(f, "{name} ")?;
    }
    match &event.what {
        EventKind::Phase { to, cause, run: Some(run), from: _ } => write!(f, "{to} {run}: {cause}"),
        EventKind::Phase { to, cause, run: None, from: _ } => write!(f, "{to}: {cause}"),
        EventKind::Ended { run, exit, unexpected: true } => {
            write!(f, "ended {run}: {exit}, unexpected")
        }
        EventKind::Ended { run, exit, unexpected: false } => write!(f, "ended {run}: {exit}"),
        EventKind::BuildStarted { command, path } => {
            write!(f, "building: {}: {} changed", command.line(), path.display())
        }
        EventKind::Built { command, took } => {
            write!(f, "built: {} in {}", command.line(), DisplayDuration(*took))
        }
        EventKind::Signalled { signal, path } => {
            let name = signal_name(*signal).unwrap_or("?");
            write!(f, "signalled {name}: {} changed", path.display())
        }
        EventKind::ActionStarted { action } => write!(f, "action {action}"),
        EventKind::ActionEnded { action, .. } => write!(f, "action {action} ended"),
        EventKind::Note(message) => write!(f, "note [{}] {message}", message.class),
        EventKind::DebuggerListening(place) => write!(f, "debug: {place}"),
        EventKind::Settled { well: true } => f.write_str("settled"),
        EventKind::Settled { well: false } => f.write_str("settled, not well"),
        EventKind::ServiceRemoved => f.write_str("gone"),
        EventKind::Applied(plan) => {
            let lines: Vec<String> = plan.changes.iter().map(ServiceChange::to_string).collect();
            write!(f, "applied: {}", lines.join("; "))
        }
        EventKind::NothingRuns(what) => write!(f, "nothing runs: {what}"),
        EventKind::ShuttingDown(why) => write!(f, "shutting down: {why}"),
    }
}
