use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::ProbeContext;
use super::probe_attempt::ProbeAttempt;
use crate::model::{ListenAddress, accepts};
use crate::ports::ListenerOwner;

/// A local connection takes microseconds unless the listener's backlog is full.
const CONNECT_MAX: Duration = Duration::from_secs(1);

/// How long a forwarder takes to notice that nothing listens behind it.
const FORWARDED_WAIT: Duration = Duration::from_millis(250);

/// Checks the owner of the port, then whether it accepts connections.
pub(super) async fn attempt(port: u16, host: &str, sight: &ProbeContext) -> ProbeAttempt {
    let places = match targets(port, host, sight) {
        Ok(places) => places,
        Err(attempt) => return attempt,
    };
    match connect(&places.reachable).await {
        Ok(stream) if places.listening.is_empty() && sight.is_forwarded() => {
            match stays_open(&stream).await {
                true => places.held(format!("port {port} keeps connections open")),
                false => ProbeAttempt::NotListening(port),
            }
        }
        Ok(_) => places.held(format!("port {port} accepts connections")),
        Err(error) => {
            let text = format!("port {port} does not accept connections: {}", reason(&error));
            ProbeAttempt::of_error(error, text)
        }
    }
}

/// Whether a connection that a forwarder accepted leads further: it is closed at once if nothing
/// listens behind.
async fn stays_open(stream: &TcpStream) -> bool {
    match timeout(FORWARDED_WAIT, stream.peek(&mut [0])).await {
        Ok(Ok(read)) => read > 0,
        Ok(Err(_)) => false,
        Err(_) => true,
    }
}

/// Addresses of a port that belongs, or may belong, to the service.
pub(super) struct ProbeTargets {
    /// In this order; at least one.
    pub reachable: Vec<SocketAddr>,
    /// Where the service listens; empty if unknown.
    listening: Vec<SocketAddr>,
}

impl ProbeTargets {
    pub(super) fn held(self, what: String) -> ProbeAttempt {
        match self.listening.is_empty() {
            true => ProbeAttempt::Held(what),
            false => ProbeAttempt::HeldAt(
                what,
                self.listening.into_iter().map(ListenAddress::Tcp).collect(),
            ),
        }
    }
}

/// Returns where to connect to `port` of a service that binds `host`, or why that would prove
/// nothing. The check is cheaper than connecting and sends nothing to other processes.
pub(super) fn targets(
    port: u16,
    host: &str,
    sight: &ProbeContext,
) -> Result<ProbeTargets, ProbeAttempt> {
    let listening = match sight.owner(port) {
        ListenerOwner::Ours(listening) => listening,
        // A client may reach the other listener instead.
        ListenerOwner::Shared(_, holder) if sight.is_alone() => {
            return Err(ProbeAttempt::Foreign(port, Box::new(holder)));
        }
        ListenerOwner::Shared(listening, _) => listening,
        ListenerOwner::Unknown => Vec::new(),
        ListenerOwner::Foreign(holder) => {
            return Err(ProbeAttempt::Foreign(port, Box::new(holder)));
        }
        ListenerOwner::NotListening => return Err(ProbeAttempt::NotListening(port)),
    };
    let mut reachable = local_addresses(host, port);
    let ips: Vec<IpAddr> = listening.iter().map(SocketAddr::ip).collect();
    if !ips.is_empty() {
        reachable.retain(|address| accepts(&ips, address.ip()));
        let single = listening.iter().filter(|address| !address.ip().is_unspecified());
        let more: Vec<_> = single.filter(|address| !reachable.contains(address)).collect();
        reachable.extend(more);
    }
    Ok(ProbeTargets { reachable, listening })
}

/// Returns where a service that binds `host` can be reached: at `host` if it is an address, then on
/// loopback. Does not resolve names; those of this machine map to loopback anyway.
pub fn local_addresses(host: &str, port: u16) -> Vec<SocketAddr> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let own: Option<IpAddr> = bare.parse().ok();
    let own = own.filter(|address| !address.is_unspecified());
    let mut all = vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    all.retain(|address| own != Some(*address));
    own.into_iter().chain(all).map(|address| SocketAddr::new(address, port)).collect()
}

/// Connects to the first address that accepts, or returns the error of the first address.
pub(super) async fn connect(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut first = None;
    for address in addresses {
        let error = match timeout(CONNECT_MAX, TcpStream::connect(address)).await {
            Ok(Ok(stream)) if is_self(&stream) => io::ErrorKind::ConnectionRefused.into(),
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => error,
            Err(_) => io::ErrorKind::TimedOut.into(),
        };
        first.get_or_insert(error);
    }
    Err(first.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()))
}

/// On loopback, a connection to an unused port may connect to itself if the kernel picks that very
/// port as its source.
fn is_self(stream: &TcpStream) -> bool {
    matches!((stream.local_addr(), stream.peer_addr()), (Ok(own), Ok(peer)) if own == peer)
}

/// Describes a connection error in a few words.
pub(super) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "refused".into(),
        io::ErrorKind::TimedOut => format!("no response within {}s", CONNECT_MAX.as_secs()),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_address_comes_first_and_loopback_always_counts() {
        let all = |host| {
            local_addresses(host, 80).iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(all("127.0.0.1"), "127.0.0.1:80 [::1]:80");
        assert_eq!(all("::1"), "[::1]:80 127.0.0.1:80");
        assert_eq!(all("[::1]"), "[::1]:80 127.0.0.1:80");
        assert_eq!(all("0.0.0.0"), "127.0.0.1:80 [::1]:80");
        assert_eq!(all("localhost"), "127.0.0.1:80 [::1]:80");
        assert_eq!(all("10.0.0.7"), "10.0.0.7:80 127.0.0.1:80 [::1]:80");
    }
}
