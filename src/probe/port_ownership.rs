use std::net::SocketAddr;

/// Owner of the listener on a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortOwnership {
    /// The process tree in question; the addresses it listens on, if known.
    Ours(Vec<SocketAddr>),
    /// The process tree, at these addresses, and another process, as in `Foreign`, at an address
    /// that clients try too.
    Shared(Vec<SocketAddr>, String),
    /// Another process, as in `python3 (pid 4121: flask run)`.
    Foreign(String),
    /// Nothing is listening.
    Nobody,
    /// Something may be listening; the system does not show its owner.
    Unknown,
}
