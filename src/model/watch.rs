use std::path::PathBuf;
use std::time::Duration;

use super::{CommandLine, Name};

/// Identifies a watch of a service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct WatchId {
    pub service: Name,
    /// The index among its watches, from 0.
    pub index: usize,
}

impl WatchId {
    /// Returns the first, usually the only watch of a service.
    pub fn first(service: Name) -> WatchId {
        WatchId { service, index: 0 }
    }
}

/// Which files a service watches, and what happens when they change. `C` is the form of commands:
/// resolved, or as written in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchConfig<C = CommandLine> {
    /// The directory that the globs are relative to, absolute: the service's `dir`.
    pub root: PathBuf,
    /// Whether paths may be missing without a warning: a preset names what a project might have.
    pub optional: bool,
    /// Globs of files that count, such as `../shared/**`; empty: every file below `root`.
    pub include: Vec<String>,
    /// Globs of files that do not count.
    pub exclude: Vec<String>,
    /// Globs of files that do not count while the service runs, because it reloads them itself.
    pub reloaded: Vec<String>,
    /// The quiet period after a burst of changes before they count.
    pub debounce: Duration,
    /// How often to poll files; `None`: only where the system sends no change events.
    pub poll: Option<Duration>,
    /// What to do then.
    pub action: WatchAction<C>,
}

/// What happens when watched files change. Commands run like those of [`Probe::Exec`](crate::model::Probe::Exec).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchAction<C = CommandLine> {
    /// Restart the service.
    Restart {
        /// Runs first; the restart follows only if it exits with code 0.
        build: Option<C>,
    },
    /// Send this signal to the main process.
    Signal(i32),
    /// Run this command; the service keeps running.
    Run(C),
}

impl<C> WatchAction<C> {
    /// Whether a change leads to a restart, directly or after a command.
    pub fn restarts(&self) -> bool {
        matches!(self, WatchAction::Restart { .. })
    }

    pub fn command(&self) -> Option<&C> {
        match self {
            WatchAction::Restart { build } => build.as_ref(),
            WatchAction::Signal(_) => None,
            WatchAction::Run(command) => Some(command),
        }
    }
}
