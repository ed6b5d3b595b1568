use std::fmt;

use crate::model::{Class, Message};

/// Why a client did not get what it asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// No devstack runs here, or it ended before it answered.
    NotRunning(Message),
    /// The stack has no such service.
    UnknownService(Message),
    /// A devstack runs here and does not answer.
    Busy(Message),
    /// The devstack that runs here speaks another protocol.
    Mismatch(Message),
    /// The devstack that runs here is somebody else's.
    Denied(Message),
    /// The request was understood and did not take effect.
    Refused(Message),
}

impl Failure {
    /// What to tell people.
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

    /// With which code a command that met it ends.
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

    /// Nothing runs where the client looked.
    pub(super) fn not_running() -> Failure {
        let message = Message::new(Class::NotRunning, "no stack runs here");
        Failure::NotRunning(message.help("`devstack up` starts one"))
    }

    /// The stack was there and went before it answered.
    pub(super) fn ended() -> Failure {
        let message = Message::new(Class::NotRunning, "the stack ended before it answered");
        Failure::NotRunning(message.help("`devstack up` starts it again"))
    }

    /// The stack went in the middle of its answer.
    pub(super) fn cut_off() -> Failure {
        let text = "the stack ended while it answered; the end is missing";
        Failure::NotRunning(Message::new(Class::NotRunning, text))
    }

    /// The answer makes no sense.
    pub fn garbled(what: impl fmt::Display) -> Failure {
        let text = format!("cannot understand the answer of the stack: {what}");
        let help = "another version may run here: `devstack down`, which works across versions, and `devstack up`";
        Failure::Refused(Message::new(Class::Internal, text).help(help))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.message().fmt(f)
    }
}

impl std::error::Error for Failure {}
