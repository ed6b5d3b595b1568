use std::cmp::Reverse;
use std::net::IpAddr;

use if_addrs::{IfAddr, IfOperStatus};

use crate::model::{ListenAddress, UrlFormat, accepts};

/// A network of this machine, with its address there; never loopback or link-local.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkInterface {
    pub name: String,
    /// The address of this machine.
    pub address: IpAddr,
    /// The length of the network prefix in bits.
    pub prefix: u8,
}

const MAX_SHOWN: usize = 3;

/// Name prefixes of interfaces for local containers and virtual machines.
const VIRTUAL: [&str; 14] = [
    "docker", "br-", "veth", "virbr", "vboxnet", "vmnet", "lxc", "lxd", "podman", "cni", "flannel",
    "cali", "bridge", "vnic",
];

impl NetworkInterface {
    /// Returns the networks of this machine: physical before virtual ones, IPv4 before IPv6. Takes
    /// about 100 microseconds.
    pub fn list() -> Vec<NetworkInterface> {
        let found = if_addrs::get_if_addrs().unwrap_or_default();
        let up = found.into_iter().filter(|interface| match interface.oper_status {
            IfOperStatus::Down | IfOperStatus::NotPresent | IfOperStatus::LowerLayerDown => false,
            IfOperStatus::Up
            | IfOperStatus::Testing
            | IfOperStatus::Unknown
            | IfOperStatus::Dormant => true,
        });
        let useful = up.filter(|interface| !interface.is_loopback() && !interface.is_link_local());
        let network = |interface: if_addrs::Interface| {
            let prefix = match &interface.addr {
                IfAddr::V4(four) => four.prefixlen,
                IfAddr::V6(six) => six.prefixlen,
            };
            NetworkInterface { address: interface.ip(), name: interface.name, prefix }
        };
        let mut all: Vec<NetworkInterface> = useful.map(network).collect();
        // A stable sort: the system lists the most important one first.
        all.sort_by_key(|network| (network.is_virtual(), network.address.is_ipv6()));
        all
    }

    fn is_virtual(&self) -> bool {
        VIRTUAL.iter().any(|start| self.name.starts_with(start))
    }

    /// Returns the network in CIDR notation: `192.168.1.0/24`.
    pub fn cidr(&self) -> String {
        let first: IpAddr = match self.address {
            IpAddr::V4(ip) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                std::net::Ipv4Addr::from_bits(ip.to_bits() & mask).into()
            }
            IpAddr::V6(ip) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                std::net::Ipv6Addr::from_bits(ip.to_bits() & mask).into()
            }
        };
        format!("{first}/{}", self.prefix)
    }

    /// Returns the URLs at which other machines reach `port` of a service, at most three.
    pub fn urls(
        all: &[NetworkInterface],
        form: &UrlFormat,
        port: u16,
        listening: &[ListenAddress],
    ) -> Vec<String> {
        let on_port =
            listening.iter().filter_map(ListenAddress::tcp).filter(|at| at.port() == port);
        let ips: Vec<IpAddr> = on_port.map(|address| address.ip()).collect();
        let open = all.iter().filter(|network| accepts(&ips, network.address));
        let url = |network: &NetworkInterface| form.format(&network.address.to_string(), port);
        open.map(url).take(MAX_SHOWN).collect()
    }

    /// Returns the networks that can reach one of these addresses, as CIDR, at most three. Virtual
    /// networks are only included if there are no others.
    pub fn reachable_from(all: &[NetworkInterface], listening: &[ListenAddress]) -> Vec<String> {
        let ips: Vec<IpAddr> = listening.iter().filter_map(|at| Some(at.tcp()?.ip())).collect();
        let mut open: Vec<&NetworkInterface> =
            all.iter().filter(|network| accepts(&ips, network.address)).collect();
        if open.iter().any(|network| !network.is_virtual()) {
            open.retain(|network| !network.is_virtual());
        }
        let mut ranges: Vec<String> = Vec::new();
        for network in open {
            let range = network.cidr();
            if !ranges.contains(&range) && ranges.len() < MAX_SHOWN {
                ranges.push(range);
            }
        }
        ranges
    }

    /// Checks whether a service can bind `host`. Otherwise returns what it could bind instead.
    /// Wildcards and `localhost` are always possible.
    pub fn check_host(host: &str) -> Result<(), Vec<String>> {
        let Ok(ip) = host.parse::<IpAddr>() else { return Ok(()) };
        // On Linux, all of 127.0.0.0/8 can be bound although it is not listed.
        let always =
            ip.is_unspecified() || cfg!(target_os = "linux") && ip.is_ipv4() && ip.is_loopback();
        let Ok(found) = if_addrs::get_if_addrs() else { return Ok(()) };
        if always || found.iter().any(|interface| interface.ip() == ip) {
            return Ok(());
        }
        let mut others: Vec<_> = found.iter().filter(|one| !one.is_link_local()).collect();
        others.sort_by_key(|one| (Reverse(one.is_loopback()), one.ip().is_ipv6()));
        Err(others.iter().map(|one| format!("{} ({})", one.ip(), one.name)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(name: &str, address: &str, prefix: u8) -> NetworkInterface {
        NetworkInterface { name: name.to_owned(), address: address.parse().unwrap(), prefix }
    }

    fn read(text: &str) -> Vec<ListenAddress> {
        text.split_whitespace().map(|word| word.parse().unwrap()).collect()
    }

    #[test]
    fn a_range_is_the_network_of_an_address() {
        for (address, prefix, range) in [
            ("192.168.1.7", 24, "192.168.1.0/24"),
            ("10.8.0.2", 32, "10.8.0.2/32"),
            ("10.8.0.2", 0, "0.0.0.0/0"),
            ("fd00:1::7", 64, "fd00:1::/64"),
            ("fd00:1::7", 128, "fd00:1::7/128"),
        ] {
            assert_eq!(network("e", address, prefix).cidr(), range);
        }
    }

    #[test]
    fn a_wildcard_is_open_to_every_network_of_its_family() {
        let all = [
            network("eth0", "192.168.1.7", 24),
            network("eth0", "fd00::7", 64),
            network("docker0", "172.17.0.1", 16),
        ];
        let urls = |text: &str| {
            NetworkInterface::urls(&all, &UrlFormat::default(), 80, &read(text)).join(" ")
        };
        assert_eq!(urls("0.0.0.0:80"), "http://192.168.1.7:80 http://172.17.0.1:80");
        assert_eq!(urls("[::]:80"), "http://[fd00::7]:80");
        assert_eq!(urls("192.168.1.7:80"), "http://192.168.1.7:80");
        assert_eq!(urls("127.0.0.1:80 0.0.0.0:81"), "");
        assert_eq!(
            NetworkInterface::reachable_from(&all, &read("0.0.0.0:80 0.0.0.0:81")),
            ["192.168.1.0/24"]
        );
        assert_eq!(
            NetworkInterface::reachable_from(&all[2..], &read("0.0.0.0:80")),
            ["172.17.0.0/16"]
        );
        assert!(NetworkInterface::reachable_from(&all, &read("127.0.0.1:80")).is_empty());
        let many = ["10.0.0.1", "10.1.0.1", "10.2.0.1", "10.3.0.1"].map(|ip| network("e", ip, 16));
        assert_eq!(
            NetworkInterface::urls(&many, &UrlFormat::default(), 1, &read("0.0.0.0:1")).len(),
            MAX_SHOWN
        );
        assert_eq!(NetworkInterface::reachable_from(&many, &read("0.0.0.0:1")).len(), MAX_SHOWN);
    }

    #[test]
    fn only_addresses_of_this_machine_can_be_bound() {
        for host in ["0.0.0.0", "::", "localhost", "127.0.0.1"] {
            assert_eq!(NetworkInterface::check_host(host), Ok(()), "{host}");
        }
        // Reserved for documentation.
        let possible = NetworkInterface::check_host("203.0.113.9").unwrap_err();
        assert!(possible.iter().any(|text| text.starts_with("127.0.0.1 (")), "{possible:?}");
    }
}
