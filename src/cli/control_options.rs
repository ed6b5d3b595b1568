use std::path::PathBuf;

use crate::control::{Client, Failure};

/// What every command has that asks the stack of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlOptions {
    /// The folder where the search for the stack starts.
    pub dir: PathBuf,
    /// Whether data and errors are JSON.
    pub json: bool,
    /// Whether `out` is a terminal that shows colours, as `anstream` decides it.
    pub color: bool,
    /// The socket, when it is known already.
    pub socket: Option<PathBuf>,
}

impl ControlOptions {
    /// A client of the stack.
    pub(super) fn client(&self) -> Result<Client, Failure> {
        match &self.socket {
            Some(socket) => Ok(Client::at(socket)),
            None => Client::here(&self.dir),
        }
    }
}
