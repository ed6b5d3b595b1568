use std::net::SocketAddr;

/// Whose the listener of a port is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// Of the process tree that was asked about; where it listens on that port, if that is known.
    Ours(Vec<SocketAddr>),
    /// Of that process tree, and somebody else listens beside it on an address that clients try; where it listens, and
    /// who that is.
    Shared(Vec<SocketAddr>, String),
    /// Of somebody else; who, as in `python3 (pid 4121: flask run)`.
    Foreign(String),
    /// Nothing listens there.
    Nobody,
    /// Something may listen there; the system does not say whose it is.
    Unknown,
}
