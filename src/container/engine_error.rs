use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::model::{ContainerEngine, Message, MessageClass};

/// Why an engine did not do what it was asked for.
#[derive(Debug)]
pub enum EngineError {
    /// Nothing answers at its socket.
    Unreachable(PathBuf, io::Error),
    /// It answered with this status and text.
    Refused(u16, String),
    /// It did not answer in time.
    Late(Duration),
    /// Its answer is not what its API promises.
    Garbled(String),
}

impl EngineError {
    /// Whether the engine does not know what was asked for.
    pub fn is_missing(&self) -> bool {
        matches!(self, EngineError::Refused(404, _))
    }

    /// Whether it may be about to start, or is being restarted.
    pub fn may_pass(&self) -> bool {
        match self {
            EngineError::Unreachable(_, error) => error.kind() != io::ErrorKind::PermissionDenied,
            EngineError::Late(_) => true,
            EngineError::Refused(status, _) => *status == 503,
            EngineError::Garbled(_) => false,
        }
    }

    /// Explains it to the user.
    pub fn message(&self, engine: ContainerEngine) -> Message {
        let name = engine.name();
        match self {
            EngineError::Unreachable(socket, error) => unreachable_engine(engine, socket, error),
            EngineError::Refused(_, text) => {
                Message::new(MessageClass::Container, format!("{name}: {text}"))
            }
            EngineError::Late(limit) => {
                let text = format!("{name} did not answer within {}s", limit.as_secs());
                Message::new(MessageClass::Container, text)
                    .help(format!("check it with `{engine} info`"))
            }
            EngineError::Garbled(what) => {
                let text =
                    format!("{name} gave an answer that devstack does not understand: {what}");
                Message::new(MessageClass::Container, text)
                    .help(format!("check it with `{engine} version`"))
            }
        }
    }
}

/// Explains that nothing answers at a socket.
fn unreachable_engine(engine: ContainerEngine, socket: &Path, error: &io::Error) -> Message {
    let (name, place) = (engine.name(), socket.display());
    if error.kind() == io::ErrorKind::PermissionDenied {
        let text = format!("not permitted to use {name}: {place}: {error}");
        let help = match engine {
            ContainerEngine::Docker => {
                "run `sudo usermod -aG docker $USER` and log in again, or use rootless Podman: \
                 `engine = \"podman\"`"
            }
            ContainerEngine::Podman => "run `systemctl --user enable --now podman.socket`",
        };
        return Message::new(MessageClass::Container, text).help(help);
    }
    let why = match error.kind() {
        io::ErrorKind::NotFound => format!("no socket at {place}"),
        _ => format!("{place}: {error}"),
    };
    let text = match engine {
        ContainerEngine::Docker => format!("Docker is not running: {why}"),
        ContainerEngine::Podman => format!("the API of Podman is not running: {why}"),
    };
    Message::new(MessageClass::Container, text).help(start_help(engine))
}

/// Says how to start an engine on this system.
pub(super) fn start_help(engine: ContainerEngine) -> &'static str {
    match (engine, cfg!(target_os = "macos")) {
        (ContainerEngine::Docker, true) => "start Docker Desktop, or `colima start`",
        (ContainerEngine::Docker, false) => "run `sudo systemctl start docker`",
        (ContainerEngine::Podman, true) => "run `podman machine start`",
        (ContainerEngine::Podman, false) => {
            "run `systemctl --user enable --now podman.socket`, or without systemd `podman system \
             service --time=0 &`"
        }
    }
}
