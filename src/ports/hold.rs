use super::BindScope;
use super::assign::PortAllocator;
use super::lease::PortLease;
use crate::model::Name;
use std::os::fd::OwnedFd;

/// Keeps a port while this value lives. The socket is bound but never listens.
#[derive(Debug)]
pub struct PortHold {
    _socket: OwnedFd,
}

impl PortHold {
    /// Holds `port`, which should be free, until its service starts: from the kernel, which picks it
    /// for nothing, and from servers that do not set `SO_REUSEADDR`, of which the service may be
    /// one. `None` if the system does not support this or is out of file descriptors; then the port
    /// is only leased.
    pub fn take(port: u16, scope: BindScope) -> Option<PortHold> {
        super::holders::hold(port, scope).map(|socket| PortHold { _socket: socket })
    }

    /// Keeps outgoing connections from `port` while its service starts.
    pub fn while_starting(port: u16) -> Option<PortHold> {
        super::holders::keep_from_connections(port).map(|socket| PortHold { _socket: socket })
    }
}

impl PortAllocator {
    /// Whether any of the service's ports is held.
    pub fn is_held(&self, service: &Name) -> bool {
        let mut given = self.given.iter().filter(|(key, _)| key.service == *service);
        let held = |number| self.taken.get(number).is_some_and(|claim| claim.hold.is_some());
        given.any(|(_, port)| held(&port.number))
    }

    /// Makes room for the service on its ports, right before it starts. What is left of a hold keeps
    /// outgoing connections away, which get only ephemeral ports.
    pub fn prepare_start(&mut self, service: &Name) {
        for (_, port) in self.given.iter().filter(|(key, _)| key.service == *service) {
            let number = port.number;
            let Some(claim) = self.taken.get_mut(&number) else { continue };
            if claim.hold.take().is_some() && self.limits.is_ephemeral(number) {
                claim.hold = PortHold::while_starting(number);
            }
        }
    }

    /// Drops the holds on the service's ports until the next choice. False if there were none.
    pub fn drop_holds(&mut self, service: &Name) -> bool {
        let given = self.given.iter().filter(|(key, _)| key.service == *service);
        let mut held = false;
        for port in given.map(|(_, port)| port.number) {
            held |= self.taken.get_mut(&port).is_some_and(|claim| claim.hold.take().is_some());
        }
        held
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::collections::BTreeSet;
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::process::{Command, Stdio};

    use rustix::net::{AddressFamily, bind};

    use super::PortHold;
    use crate::ports::{BindScope, PortAvailability, availability};

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
            let Some(hold) = PortHold::take(address.port(), BindScope::Everywhere) else {
                continue;
            };
            let Ok(server) = TcpListener::bind(address) else { continue };
            TcpStream::connect(address).unwrap();
            assert!(
                matches!(
                    availability(address.port(), BindScope::Everywhere),
                    PortAvailability::InUse
                ),
                "{address}"
            );
            drop((server, hold));
        }
    }

    #[test]
    fn a_server_without_reuse_binds_what_is_held_while_it_starts() {
        for ip in ["0.0.0.0", "127.0.0.1", "::1"] {
            let Ok(first) = TcpListener::bind((ip, 0)) else { continue };
            let address = first.local_addr().unwrap();
            drop(first);
            let Some(_hold) = PortHold::while_starting(address.port()) else { continue };
            let v6 = address.is_ipv6();
            let family = if v6 { AddressFamily::INET6 } else { AddressFamily::INET };
            let socket = crate::ports::availability::open(family).unwrap();
            // Another test may get the port in between.
            let bound = bind(&socket, &address);
            assert!(bound.is_ok() || TcpListener::bind(address).is_err(), "{address}: {bound:?}");
        }
    }

    /// Every port that the kernel assigns to connections, until it runs out.
    fn all_it_connects_from() -> BTreeSet<u16> {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 30_000)).unwrap();
        let mut connected = Vec::new();
        while let Ok(connection) = TcpStream::connect(server.local_addr().unwrap()) {
            connected.push((connection, server.accept().unwrap()));
        }
        connected.iter().map(|(from, _)| from.local_addr().unwrap().port()).collect()
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
        given.extend(all_it_connects_from());
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
        let holds = HELD.map(|port| PortHold::take(port, BindScope::Everywhere).unwrap());
        let free: BTreeSet<u16> = RANGE.filter(|port| !HELD.contains(port)).collect();
        assert_eq!(all_it_gives(), free);
        // Fewer later, because closed connections linger.
        for _ in 0..50 {
            assert!(all_it_gives().is_subset(&free));
        }
        drop(holds);
        let holds = HELD.map(|port| PortHold::while_starting(port).unwrap());
        for _ in 0..50 {
            assert!(all_it_connects_from().is_subset(&free));
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
    pub lease: Option<PortLease>,
    /// Keeps other programs away until the service is about to start; see
    /// [`PortAllocator::prepare_start`].
    pub hold: Option<PortHold>,
}
