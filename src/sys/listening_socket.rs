use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// A TCP socket that accepts connections. A dual-stack wildcard socket is listed once per family.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListeningSocket {
    pub address: SocketAddr,
    /// The kernel's number of the socket, which processes that share it have in common.
    pub socket: u64,
    /// The owner of the socket, if the system shows it.
    pub uid: Option<u32>,
}

impl ListeningSocket {
    /// Whether local clients can reach it: it is on loopback or on a wildcard address.
    pub fn is_reachable_locally(&self) -> bool {
        let address = match self.address.ip() {
            IpAddr::V6(address) => address.to_canonical(),
            address @ IpAddr::V4(_) => address,
        };
        address.is_loopback() || address.is_unspecified()
    }

    /// Returns one listener for each address family that the socket accepts.
    pub(crate) fn per_family(self, v6_only: bool) -> impl Iterator<Item = ListeningSocket> {
        let both = !v6_only && self.address.is_ipv6() && self.address.ip().is_unspecified();
        let four = (IpAddr::from(Ipv4Addr::UNSPECIFIED), self.address.port()).into();
        let four = both.then(|| ListeningSocket { address: four, ..self.clone() });
        four.into_iter().chain([self])
    }
}
