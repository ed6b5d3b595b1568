use std::net::SocketAddr;

/// A TCP socket that accepts connections.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listener {
    /// Where it listens.
    pub address: SocketAddr,
    /// The kernel's number for the socket: several processes that share it have the same one.
    pub socket: u64,
    /// The user who made it, where the system says so.
    pub uid: Option<u32>,
}
