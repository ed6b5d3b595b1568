use std::net::SocketAddr;

use super::Holder;

/// The owner of a port's listener, from the view of a process tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// A process of the tree listens, on these addresses.
    Owned(Vec<SocketAddr>),
    /// A process of the tree listens, and a foreign one on another address that clients try.
    Shared(Vec<SocketAddr>, Holder),
    /// Only a foreign process listens.
    Foreign(Holder),
    /// Nothing listens.
    Nobody,
    /// The system does not show it.
    Unknown,
}
