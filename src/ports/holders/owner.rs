use std::net::SocketAddr;

use crate::ports::PortHolder;

/// The owner of a port's listener, from the view of a process tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenerOwner {
    /// A process of the tree listens, on these addresses.
    Ours(Vec<SocketAddr>),
    /// A process of the tree listens, and a foreign one on another address that clients try.
    Shared(Vec<SocketAddr>, PortHolder),
    /// Only a foreign process listens.
    Foreign(PortHolder),
    /// Nothing listens.
    NotListening,
    /// The system does not show it.
    Unknown,
}
