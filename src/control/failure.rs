use std::fmt;

use crate::model::{Class, Message};

/// Why a client got no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// No devstack runs here, or it exited before it answered.
    NotRunning(Message),
    /// The stack has no such service.
    UnknownService(Message),
    /// A devstack runs here but does not respond.
    Busy(Message),
    /// The running devstack speaks another protocol.
    Mismatch(Message),
    /// The running devstack belongs to another user.
    Denied(Message),
    /// The request was understood but did not take effect.
    Refused(Message),
}

impl Failure {
    /// Returns the message for the user.
    pub fn message(&self) -> &Message {
        match self {
            Failure::NotRunning(message)
            | Failure::UnknownService(message)
            | Failure::Busy(message)
            | Failure::Mismatch(message)
            | Failure::Denied(message)
            | Failure::Refused(message) => message,
        }
    }

    /// Returns the exit code for a command that fails with this error.
    pub fn exit_code(&self) -> i32 {
        match self {
            Failure::NotRunning(_) | Failure::UnknownService(_) => 3,
            Failure::Busy(_) => 4,
            Failure::Mismatch(_) => 2,
            Failure::Denied(_) => 1,
            Failure::Refused(message) => match message.class {
                Class::Usage | Class::Config => 2,
                Class::NotRunning => 3,
                Class::Busy
                | Class::Port
                | Class::Spawn
                | Class::ReadyTimeout
                | Class::Exit
                | Class::Unhealthy
                | Class::Build
                | Class::CrashLoop
                | Class::DepFailed
                | Class::StopTimeout
                | Class::Orphan
                | Class::WatchDegraded
                | Class::LogDropped
                | Class::Disk
                | Class::Limit
                | Class::Denied
                | Class::Internal => 1,
            },
        }
    }

    pub(super) fn not_running() -> Failure {
        let message = Message::new(Class::NotRunning, "no stack is running in this directory");
        Failure::NotRunning(message.help("start one with `devstack up`"))
    }

    /// The stack stopped before it responded.
    pub(super) fn ended() -> Failure {
        let message = Message::new(Class::NotRunning, "the stack stopped before it responded");
        Failure::NotRunning(message.help("start it again with `devstack up`"))
    }

    /// The stack stopped in the middle of its response.
    pub(super) fn cut_off() -> Failure {
        let text = "the stack stopped while responding; the response is incomplete";
        Failure::NotRunning(Message::new(Class::NotRunning, text))
    }

    /// The response cannot be understood.
    pub fn garbled(what: impl fmt::Display) -> Failure {
        let text = format!("invalid response from the stack: {what}");
        let help = "run `devstack down` (it works across versions), then `devstack up`: the stack may run another version";
        Failure::Refused(Message::new(Class::Internal, text).help(help))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.message().fmt(f)
    }
}

impl std::error::Error for Failure {}
