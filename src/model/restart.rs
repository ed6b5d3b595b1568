use std::time::Duration;

use super::CommandLine;

/// What happens when a process exits on its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestartConfig {
    pub policy: RestartPolicy,
    /// It fails after this many unexpected exits within `window`.
    pub max_failures: u32,
    /// See `max_failures`.
    pub window: Duration,
    /// The first delay; doubled each time.
    pub delay: Duration,
    /// The longest delay.
    pub max_delay: Duration,
}

impl RestartConfig {
    /// The default for a policy.
    pub fn new(policy: RestartPolicy) -> RestartConfig {
        RestartConfig {
            policy,
            max_failures: 8,
            window: Duration::from_secs(120),
            delay: Duration::from_millis(250),
            max_delay: Duration::from_secs(15),
        }
    }
}

/// When a process that exited on its own restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartPolicy {
    /// Never.
    No,
    /// After an unexpected exit.
    OnFailure,
    /// After every exit that was not requested.
    Always,
}

/// How a process is stopped. `C` is the form of its command: resolved, or as written in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopConfig<C = CommandLine> {
    /// The number of the stop signal.
    pub signal: i32,
    /// Runs instead of sending the signal, in the service's directory with its environment.
    pub command: Option<C>,
    /// How long a stop may take before everything left is killed.
    pub grace: Duration,
}

impl<C> StopConfig<C> {
    /// Returns the same with a command of another form.
    pub fn map<D>(&self, map: impl FnOnce(&C) -> D) -> StopConfig<D> {
        StopConfig {
            signal: self.signal,
            command: self.command.as_ref().map(map),
            grace: self.grace,
        }
    }
}
