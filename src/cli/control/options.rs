use std::path::PathBuf;

use crate::control::{ClientError, ControlClient};

/// Options of every command that talks to a running stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientOptions {
    /// Where the search for the stack starts.
    pub dir: PathBuf,
    /// Whether data and errors are JSON.
    pub json: bool,
    /// Whether `out` is a terminal that shows colors.
    pub color: bool,
    /// The socket, if it is already known.
    pub socket: Option<PathBuf>,
}

impl ClientOptions {
    /// Returns a client for the stack.
    pub(crate) fn client(&self) -> Result<ControlClient, ClientError> {
        match &self.socket {
            Some(socket) => Ok(ControlClient::at(socket)),
            None => ControlClient::here(&self.dir),
        }
    }
}
