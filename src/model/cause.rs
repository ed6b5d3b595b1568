use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::{Dependency, DisplayDuration, DisplayPath, Message, Name, ProcessExit};

/// Why a service is in its phase. Travels from the engine to the screen.
#[derive(Debug, Clone, PartialEq)]
pub enum Cause {
    /// Not requested.
    NotAsked,
    /// `up` starts it.
    Up,
    /// A requested service depends on it.
    NeededBy(Name),
    /// Requested from the command line: `start`, `stop`, `restart` or `debug`.
    Requested(&'static str),
    /// It starts with the first connection to its port.
    AwaitingConnection,
    /// A client connected to its port while it was asleep.
    Connected,
    /// It had no connection for as long as its `idle` says.
    Unused(Duration),
    /// Waiting for these dependencies.
    WaitingFor(Vec<Dependency>),
    /// Waiting for a stopping service of the stack to release its port.
    WaitingForPort(u16, Name),
    /// Waiting for its previous run under this name to stop.
    WaitingForRename(Name),
    /// Waiting for files to stop changing.
    WaitingForFiles,
    /// Waiting until it is known whether another process has one of its ports.
    InspectingPorts,
    /// Its process was started.
    Spawned {
        /// The pid of its main process.
        pid: u32,
    },
    /// Its readiness probes passed; what the last one saw: `GET /health returned 200`.
    ProbePassed(String),
    /// Its health probes pass again.
    HealthRecovered,
    /// It has no readiness probe, so it is ready once started.
    NoProbe,
    Exited(ProcessExit),
    /// Its process exited.
    BackingOff {
        exit: ProcessExit,
        /// The delay before the next start.
        delay: Duration,
        /// How many starts have failed so far that the restart policy still counts.
        count: u32,
    },
    RestartedAfter(ProcessExit),
    /// Another process has one of its ports.
    PortLost(Message),
    /// Closed connections keep one of its ports.
    PortLingers(Message),
    /// devstack's own reservation of its port was in the way and was dropped; how, as a fragment.
    PortReservationDropped(String),
    /// Its health probes fail; the last reason.
    HealthFailed(String),
    /// A watched file changed.
    FileChanged(PathBuf),
    /// It reloaded changed files itself.
    ReloadedItself,
    /// The configuration changed; what exactly, as a fragment.
    ConfigChanged(String),
    /// It was removed from the configuration.
    Removed,
    /// The configuration calls it by this name now.
    Renamed(Name),
    /// The stack is shutting down; why, as a fragment.
    Shutdown(String),
    Failed(Message),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::NotAsked => f.write_str("not requested"),
            Cause::Up => f.write_str("requested by `up`"),
            Cause::NeededBy(name) => write!(f, "needed by {name}"),
            Cause::Requested(what) => write!(f, "{what} requested"),
            Cause::AwaitingConnection => f.write_str("starts with the first connection"),
            Cause::Connected => f.write_str("a client connected"),
            Cause::Unused(time) => write!(f, "no connection for {}", DisplayDuration(*time)),
            Cause::WaitingFor(list) => {
                f.write_str("waiting for ")?;
                for (i, need) in list.iter().enumerate() {
                    let comma = if i == 0 { "" } else { ", " };
                    write!(f, "{comma}{} ({})", need.service, need.condition)?;
                }
                Ok(())
            }
            Cause::WaitingForPort(port, name) => {
                write!(f, "waiting for {name} to release port {port}")
            }
            Cause::WaitingForRename(name) => {
                write!(f, "waiting for its previous run as {name} to stop")
            }
            Cause::Spawned { pid } => write!(f, "pid {pid}"),
            Cause::WaitingForFiles => f.write_str("waiting for files to stop changing"),
            Cause::InspectingPorts => f.write_str("checking its ports"),
            Cause::ProbePassed(what) => f.write_str(what),
            Cause::HealthRecovered => f.write_str("healthy again"),
            Cause::NoProbe => f.write_str("started; no readiness probe"),
            Cause::Exited(exit) => write!(f, "{exit}"),
            Cause::BackingOff { exit, delay, count } => {
                write!(f, "{exit}; attempt {} in {}", count + 1, DisplayDuration(*delay))
            }
            Cause::RestartedAfter(exit) => write!(f, "restarted after {exit}"),
            Cause::PortLost(message) | Cause::PortLingers(message) => f.write_str(&message.text),
            Cause::PortReservationDropped(how) => f.write_str(how),
            Cause::HealthFailed(why) => write!(f, "unhealthy: {why}"),
            Cause::FileChanged(path) => write!(f, "{} changed", DisplayPath(path)),
            Cause::ReloadedItself => f.write_str("it reloaded itself"),
            Cause::ConfigChanged(what) => f.write_str(what),
            Cause::Removed => f.write_str("removed from the configuration"),
            Cause::Renamed(name) => write!(f, "renamed to {name}"),
            Cause::Shutdown(why) => f.write_str(why),
            Cause::Failed(message) => f.write_str(&message.text),
        }
    }
}
