use std::fmt;

use crate::exit_code::ExitCode;
use crate::model::{Message, MessageClass};

/// Why a client got no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientError {
    /// No devstack runs here, or it exited before it answered.
    NotRunning(Message),
    /// The stack has no such service.
    UnknownService(Message),
    /// A devstack runs here but does not respond.
    Busy(Message),
    /// The running devstack speaks another protocol.
    ProtocolMismatch(Message),
    /// The running devstack belongs to another user.
    Denied(Message),
    /// The request was understood but did not take effect.
    Refused(Message),
}

impl ClientError {
    /// Returns the message for the user.
    pub fn message(&self) -> &Message {
        match self {
            ClientError::NotRunning(message)
            | ClientError::UnknownService(message)
            | ClientError::Busy(message)
            | ClientError::ProtocolMismatch(message)
            | ClientError::Denied(message)
            | ClientError::Refused(message) => message,
        }
    }

    /// Returns the exit code for a command that fails with this error.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            ClientError::NotRunning(_) | ClientError::UnknownService(_) => ExitCode::NOT_RUNNING,
            ClientError::Busy(_) => ExitCode::BUSY,
            ClientError::ProtocolMismatch(_) => ExitCode::USAGE,
            ClientError::Denied(_) => ExitCode::FAILED,
            ClientError::Refused(message) => ExitCode::of(message.class),
        }
    }

    pub(super) fn not_running() -> ClientError {
        let message =
            Message::new(MessageClass::NotRunning, "no stack is running in this directory");
        ClientError::NotRunning(message.help("start one with `devstack up`"))
    }

    /// The stack stopped before it responded.
    pub(super) fn ended() -> ClientError {
        let message =
            Message::new(MessageClass::NotRunning, "the stack stopped before it responded");
        ClientError::NotRunning(message.help("start it again with `devstack up`"))
    }

    /// The stack was killed in the middle of its response, or ended it to make room for others.
    pub(super) fn truncated() -> ClientError {
        let text = "lost the connection to the stack; the response is incomplete";
        let help = "check with `devstack ps` whether it is running";
        ClientError::NotRunning(Message::new(MessageClass::NotRunning, text).help(help))
    }

    /// The response cannot be understood.
    pub fn unreadable_response(what: impl fmt::Display) -> ClientError {
        let text = format!("invalid response from the stack: {what}");
        let help = "run `devstack down` (it works across versions), then `devstack up`: the stack may run another version";
        ClientError::Refused(Message::new(MessageClass::Internal, text).help(help))
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.message().fmt(f)
    }
}

impl std::error::Error for ClientError {}
