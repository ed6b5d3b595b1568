use super::lease::PortLease;
use std::os::fd::OwnedFd;

/// Reserves a port: while this value lives, the kernel does not pick it for listeners or outgoing
/// connections that leave the choice to it. The socket is bound but never listens, so servers that
/// set `SO_REUSEADDR` can still bind the port. For other servers, the hold must be dropped first.
#[derive(Debug)]
pub struct PortHold {
    _socket: OwnedFd,
}

impl PortHold {
    /// Holds `port`, which should be free. `None` if the system does not support this or is out of
    /// file descriptors; then the port is only leased.
    pub fn take(port: u16) -> Option<PortHold> {
        super::holders::hold(port).map(|socket| PortHold { _socket: socket })
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::collections::BTreeSet;
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::process::{Command, Stdio};

    use super::PortHold;
    use crate::ports::{PortAvailability, availability};

    /// The kernel's ephemeral range in the test's own network namespace.
    const RANGE: std::ops::RangeInclusive<u16> = 20_000..=20_015;
    const HELD: [u16; 3] = [20_000, 20_007, 20_014];

    #[test]
    fn a_server_may_bind_and_listen_on_what_is_held() {
        for address in ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0", "[::]:0"] {
            let Ok(first) = TcpListener::bind(address) else { continue };
            let address = first.local_addr().unwrap();
            drop(first);
            // Another test may get the port in between.
            let Some(hold) = PortHold::take(address.port()) else { continue };
            let Ok(server) = TcpListener::bind(address) else { continue };
            TcpStream::connect(address).unwrap();
            assert!(matches!(availability(address.port()), PortAvailability::InUse), "{address}");
            drop((server, hold));
        }
    }

    /// Every port that the kernel assigns, for listening and connecting, until it runs out.
    fn all_it_gives() -> BTreeSet<u16> {
        let mut given = BTreeSet::new();
        let mut listening = Vec::new();
        while let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)) {
            given.insert(listener.local_addr().unwrap().port());
            listening.push(listener);
        }
        drop(listening);
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 30_000)).unwrap();
        let mut connected = Vec::new();
        while let Ok(connection) = TcpStream::connect(server.local_addr().unwrap()) {
            given.insert(connection.local_addr().unwrap().port());
            connected.push((connection, server.accept().unwrap()));
        }
        given
    }

    #[test]
    #[ignore = "the inside of `the_kernel_gives_to_nobody_what_is_held`, which starts it in a network of its own"]
    fn in_a_small_network() {
        if std::env::var_os("SMALL_NETWORK").is_none() {
            return;
        }
        let range = format!("{} {}", RANGE.start(), RANGE.end());
        std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", range).unwrap();
        let holds = HELD.map(|port| PortHold::take(port).unwrap());
        let free: BTreeSet<u16> = RANGE.filter(|port| !HELD.contains(port)).collect();
        assert_eq!(all_it_gives(), free);
        // Fewer later, because closed connections linger.
        for _ in 0..50 {
            assert!(all_it_gives().is_subset(&free));
        }
        drop(holds);
        assert!(all_it_gives().is_superset(&HELD.into()), "nobody holds them any more");
        println!("\nproved");
    }

    #[test]
    fn the_kernel_gives_to_nobody_what_is_held() {
        let name = "ports::hold::tests::in_a_small_network";
        let script = "ip link set lo up && exec \"$0\" --ignored --exact --nocapture \"$1\"";
        let mut command = Command::new("unshare");
        command.args(["-Urn", "sh", "-c", script]).arg(std::env::current_exe().unwrap()).arg(name);
        command.env("SMALL_NETWORK", "1").stdin(Stdio::null());
        let ended = command.output();
        let status_text =
            ended.as_ref().map(|ended| String::from_utf8_lossy(&ended.stdout).into_owned());
        let allowed = Command::new("unshare").args(["-Urn", "ip", "link"]).output();
        if !allowed.is_ok_and(|ended| ended.status.success()) {
            let required = std::env::var_os("DEVSTACK_REQUIRE_ALL").is_some();
            assert!(
                !required,
                "network namespaces or `ip` are missing, and nothing may be skipped"
            );
            return;
        }
        assert!(status_text.as_ref().is_ok_and(|said| said.contains("\nproved")), "{ended:?}");
    }
}

#[derive(Debug, Default)]
pub struct PortClaim {
    /// Keeps other stacks away. `None` if leases do not work here.
    pub _lease: Option<PortLease>,
    /// Keeps other programs away until the service listens, if it is set.
    pub hold: Option<PortHold>,
}
