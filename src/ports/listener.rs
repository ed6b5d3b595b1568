use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// A TCP socket that accepts connections. One that takes both families on their wildcards is listed once for each.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listener {
    /// Where it listens.
    pub address: SocketAddr,
    /// The kernel's number for the socket: several processes that share it have the same one.
    pub socket: u64,
    /// The user who made it, where the system says so.
    pub uid: Option<u32>,
}

impl Listener {
    /// Whether somebody who looks for the port on this machine may meet it: on loopback or on every address.
    pub fn is_local(&self) -> bool {
        let address = match self.address.ip() {
            IpAddr::V6(address) => address.to_canonical(),
            address @ IpAddr::V4(_) => address,
        };
        address.is_loopback() || address.is_unspecified()
    }

    /// The same for each family that it takes connections of.
    pub(super) fn of_each_family(self, v6_only: bool) -> impl Iterator<Item = Listener> {
        let both = !v6_only && self.address.is_ipv6() && self.address.ip().is_unspecified();
        let four = (IpAddr::from(Ipv4Addr::UNSPECIFIED), self.address.port()).into();
        let four = both.then(|| Listener { address: four, ..self.clone() });
        four.into_iter().chain([self])
    }
}
