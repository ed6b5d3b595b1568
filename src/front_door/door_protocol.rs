//! What stacks and commands say to the front door, and what it answers.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tokio::net::UnixStream;

use super::door_stream::DoorStream;
use super::exchange_feed::ExchangeQuery;
use crate::model::Message;

/// Of these messages. Front doors of another version are not joined.
pub(super) const VERSION: u32 = 1;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum DoorRequest {
    /// Serve a stack until the connection closes.
    Join(DoorJoin),
    /// Let a front port lead to this stack.
    Front {
        /// The control socket of the stack.
        socket: PathBuf,
        port: u16,
    },
    /// Send a [`DoorStatus`].
    Status,
    /// Send what went through, as [`ExchangeFeed`](super::ExchangeFeed).
    Exchanges(ExchangeQuery),
}

/// A stack that joins. Its copies of listening sockets come beside the message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoorJoin {
    /// Its control socket.
    pub socket: PathBuf,
    /// The port where its names are.
    pub port: u16,
    /// The front ports that it had at the previous front door.
    pub fronts: Vec<u16>,
    /// The other stacks of the previous front door.
    pub peers: Vec<PathBuf>,
    /// How many descriptors come with the message.
    pub descriptors: usize,
}

/// A message of the front door.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum DoorReply {
    /// To a stack: it is served. Sent again whenever something of this changes.
    Serving {
        /// The front ports that lead to this stack.
        fronts: Vec<u16>,
        /// The other stacks.
        peers: Vec<PathBuf>,
        /// Why its front port leads nowhere, or why other machines do not reach it.
        trouble: Option<Message>,
        /// How many descriptors come with the message: copies of all listening sockets.
        descriptors: usize,
    },
    /// A front port leads to the stack now.
    Done,
    /// The request was not fulfilled.
    Refused {
        /// Why.
        text: String,
    },
    /// What is served.
    Status(DoorStatus),
}

/// What the front door serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoorStatus {
    /// Its process.
    pub pid: u32,
    /// The version of devstack that it belongs to.
    pub devstack: String,
    /// The ports it listens on.
    pub ports: Vec<u16>,
    /// The port where it serves the dashboard, if it does.
    #[serde(default)]
    pub dashboard: Option<u16>,
    /// The stacks, in the order in which they came.
    pub stacks: Vec<DoorStack>,
}

/// A stack that the front door serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoorStack {
    /// Its control socket.
    pub socket: PathBuf,
    /// The front ports that lead to it.
    pub fronts: Vec<u16>,
    /// Where other machines reach its primary service.
    pub network: Vec<SocketAddr>,
}

/// A message with the version of these messages.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Versioned<T> {
    pub version: u32,
    pub message: T,
}

/// Sends one request to the front door behind a socket and returns its reply. `None`: there is no
/// front door.
///
/// # Errors
/// The front door does not answer, or not in these messages.
pub async fn ask(socket: &Path, request: &DoorRequest) -> io::Result<Option<DoorReply>> {
    let Some(mut stream) = connect(socket).await? else { return Ok(None) };
    stream.send(request, &[]).await?;
    stream.receive().await
}

pub(super) async fn connect(socket: &Path) -> io::Result<Option<DoorStream>> {
    match UnixStream::connect(socket).await {
        Ok(stream) => Ok(Some(DoorStream::new(stream))),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
