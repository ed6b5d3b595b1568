use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::{Exit, Message, Name, Need, Shown};

/// Why a service is in the phase it is in. Travels from the decision to the screen.
#[derive(Debug, Clone, PartialEq)]
pub enum Cause {
    /// Nobody asked for it to run.
    NotAsked,
    /// It belongs to what `up` starts.
    Up,
    /// A service that was asked for depends on it.
    NeededBy(Name),
    /// Somebody asked: `start`, `stop`, `restart` or `down` from a terminal.
    Asked(&'static str),
    /// These do not hold yet.
    WaitingFor(Vec<Need>),
    /// Its port is still in use by another service of the stack, which is on its way out.
    WaitingForPort(u16, Name),
    /// It ran under this name, and what is left of that is on its way out.
    WaitingForEnd(Name),
    /// More watched files are changing.
    WaitingForFiles,
    /// Its process was started.
    Spawned {
        /// The process id of its main process.
        pid: u32,
    },
    /// A readiness probe held last, with what it saw: `GET /health answered 200`.
    Probed(String),
    /// It has no readiness probe: started is ready.
    NoProbe,
    /// Its process ended.
    Exited(Exit),
    /// Its process ended; the next start is after this delay.
    Retry {
        /// How it ended.
        exit: Exit,
        /// How long until the next start.
        delay: Duration,
        /// How many unexpected ends there were within the window.
        count: u32,
    },
    /// Started again after its process ended like this.
    After(Exit),
    /// Somebody else has a port of it.
    Robbed(Message),
    /// devstack itself was in the way of its port, and is no longer; how, as a fragment.
    Unheld(String),
    /// Its health probes fail; the last reason.
    Unwell(String),
    /// A watched file changed.
    FileChanged(PathBuf),
    /// The configuration changed; what exactly, as a fragment.
    ConfigChanged(String),
    /// It is no longer in the configuration.
    Removed,
    /// The stack is being shut down; why, as a fragment.
    Shutdown(String),
    /// The kill followed a stop that took longer than the grace.
    GraceOver(Duration),
    /// It failed, and this is what to tell people.
    Failed(Message),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::NotAsked => f.write_str("not asked to run"),
            Cause::Up => f.write_str("part of `up`"),
            Cause::NeededBy(name) => write!(f, "needed by {name}"),
            Cause::Asked(what) => write!(f, "asked to {what}"),
            Cause::WaitingFor(list) => {
                f.write_str("waiting for ")?;
                for (i, need) in list.iter().enumerate() {
                    let comma = if i == 0 { "" } else { ", " };
                    write!(f, "{comma}{} ({})", need.service, need.condition)?;
                }
                Ok(())
            }
            Cause::WaitingForPort(port, name) => {
                write!(f, "waiting until {name} has left port {port}")
            }
            Cause::WaitingForEnd(name) => {
                write!(f, "waiting until it has ended as {name}")
            }
            Cause::Spawned { pid } => write!(f, "pid {pid}"),
            Cause::WaitingForFiles => f.write_str("waiting until files stop changing"),
            Cause::Probed(what) => f.write_str(what),
            Cause::NoProbe => f.write_str("started; no readiness probe"),
            Cause::Exited(exit) => write!(f, "{exit}"),
            Cause::Retry { exit, delay, count } => {
                write!(f, "{exit}; start {} in {}", count + 1, Span(*delay))
            }
            Cause::After(exit) => write!(f, "again after {exit}"),
            Cause::Robbed(message) => f.write_str(&message.text),
            Cause::Unheld(how) => f.write_str(how),
            Cause::Unwell(why) => write!(f, "unhealthy: {why}"),
            Cause::FileChanged(path) => write!(f, "{} changed", Shown(path)),
            Cause::ConfigChanged(what) => f.write_str(what),
            Cause::Removed => f.write_str("no longer in the configuration"),
            Cause::Shutdown(why) => f.write_str(why),
            Cause::GraceOver(grace) => write!(f, "did not stop within {}; killed", Span(*grace)),
            Cause::Failed(message) => f.write_str(&message.text),
        }
    }
}

/// A duration as people write it: `250ms`, `1.5s`, `2m`.
pub struct Span(pub Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.as_millis();
        if ms < 1000 {
            write!(f, "{ms}ms")
        } else if ms < 60_000 || !ms.is_multiple_of(60_000) {
            write!(f, "{}s", self.0.as_millis() as f64 / 1000.0)
        } else {
            write!(f, "{}m", ms / 60_000)
        }
    }
}
