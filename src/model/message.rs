use std::fmt;

use serde::{Deserialize, Serialize};

/// What kind of trouble a message is about. Stable codes: scripts may compare them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// The configuration has a mistake.
    Config,
    /// The command line has a mistake.
    Usage,
    /// A port is held, moved, or not listened on.
    Port,
    /// A program could not be started.
    Spawn,
    /// A service did not become ready in time.
    ReadyTimeout,
    /// A service ended although nobody asked for it, and is not started again.
    Exit,
    /// The health probes of a service fail.
    Unhealthy,
    /// The command of a watch failed.
    Build,
    /// A service ended too often in too short a time.
    CrashLoop,
    /// Something a service depends on failed.
    DepFailed,
    /// A service did not stop within its grace.
    StopTimeout,
    /// Processes were left behind and had to be ended.
    Orphan,
    /// Another devstack runs here, or somebody else asked for something else meanwhile.
    Busy,
    /// No devstack runs here.
    NotRunning,
    /// Files cannot be watched as asked.
    WatchDegraded,
    /// A reader of the log missed something.
    LogDropped,
    /// The disk is full or cannot be written.
    Disk,
    /// A limit of the system was met.
    Limit,
    /// Not permitted.
    Denied,
    /// A defect of devstack.
    Internal,
}

impl Class {
    /// The stable code, as in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Class::Config => "config",
            Class::Usage => "usage",
            Class::Port => "port",
            Class::Spawn => "spawn",
            Class::ReadyTimeout => "ready-timeout",
            Class::Exit => "exit",
            Class::Unhealthy => "unhealthy",
            Class::Build => "build",
            Class::CrashLoop => "crash-loop",
            Class::DepFailed => "dep-failed",
            Class::StopTimeout => "stop-timeout",
            Class::Orphan => "orphan",
            Class::Busy => "busy",
            Class::NotRunning => "not-running",
            Class::WatchDegraded => "watch-degraded",
            Class::LogDropped => "log-dropped",
            Class::Disk => "disk",
            Class::Limit => "limit",
            Class::Denied => "denied",
            Class::Internal => "internal",
        }
    }
}

/// Something a person should know: what happened, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The kind of trouble.
    pub class: Class,
    /// What happened, a lower-case fragment without a full stop at the end.
    pub text: String,
    /// What to type or change next; empty when there is nothing to do.
    pub help: String,
}

impl Message {
    /// A message without a remedy.
    pub fn new(class: Class, text: impl Into<String>) -> Message {
        Message { class, text: text.into(), help: String::new() }
    }

    /// The same message with a remedy.
    pub fn help(mut self, help: impl Into<String>) -> Message {
        self.help = help.into();
        self
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Message {}
