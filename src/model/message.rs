use std::fmt;

use serde::{Deserialize, Serialize};

/// The kind of problem a message reports. The codes are stable: scripts may compare them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MessageClass {
    /// An error in the configuration.
    Config,
    /// An error on the command line.
    Usage,
    /// A port is in use, was moved, or is not listened on.
    Port,
    /// A program could not be started.
    Spawn,
    /// A service did not become ready in time.
    ReadyTimeout,
    /// A service exited without being asked to and does not start again.
    Exit,
    /// The health probes of a service fail.
    Unhealthy,
    /// A watch command failed.
    Build,
    /// A service exited too often in too short a time.
    CrashLoop,
    /// A dependency failed.
    DepFailed,
    /// A service did not stop within its grace period.
    StopTimeout,
    /// Orphans were found and terminated.
    Orphan,
    /// Another devstack is running in this directory, or a conflicting request was made.
    Busy,
    /// No devstack is running in this directory.
    NotRunning,
    /// Files cannot be watched as configured.
    WatchDegraded,
    /// A log reader missed lines.
    LogDropped,
    /// The disk is full or not writable.
    Disk,
    /// A system limit was reached.
    Limit,
    /// Not permitted.
    Denied,
    /// A container engine is missing or does not run, or refused something.
    Container,
    /// A bug in devstack.
    Internal,
}

/// A problem reported to the user, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The kind of problem.
    pub class: MessageClass,
    /// What happened: a lower-case fragment without a full stop.
    pub text: String,
    /// What to type or change next; empty if there is nothing to do.
    pub help: String,
    /// More that only `why` shows, because it is long.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

impl Message {
    /// Creates a message without help.
    pub fn new(class: MessageClass, text: impl Into<String>) -> Message {
        Message { class, text: text.into(), help: String::new(), detail: String::new() }
    }

    /// Adds a help text.
    pub fn help(mut self, help: impl Into<String>) -> Message {
        self.help = help.into();
        self
    }

    /// Adds what only `why` shows.
    pub fn detail(mut self, detail: impl Into<String>) -> Message {
        self.detail = detail.into();
        self
    }

    /// Formats the message for a terminal: `error: …`, then a `help: …` line for each line of help.
    pub fn render(&self) -> String {
        let help = self.help.lines().map(|line| format!("  help: {line}\n"));
        format!("error: {}\n", self.text) + &help.collect::<String>()
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Message {}
