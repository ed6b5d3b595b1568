use std::net::SocketAddr;

use super::Holder;

/// Whose listener is on a port, seen from a process tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// A process of the tree listens, at these addresses.
    Owned(Vec<SocketAddr>),
    /// A process of the tree listens at these addresses, and somebody else at another one that clients try.
    Shared(Vec<SocketAddr>, Holder),
    /// Somebody else listens, and nobody of the tree.
    Foreign(Holder),
    /// Nobody listens.
    Nobody,
    /// The system does not show it.
    Unknown,
}
