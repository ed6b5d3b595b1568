use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where a service accepts connections.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum ListenAddress {
    /// A TCP address. A wildcard of both families is listed once per family.
    Tcp(SocketAddr),
    /// A Unix socket of this name; `unix:NAME` as text.
    Unix(String),
}

impl ListenAddress {
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            ListenAddress::Tcp(address) => Some(*address),
            ListenAddress::Unix(_) => None,
        }
    }

    /// Whether it is reachable from other machines, network permitting.
    pub fn is_public(&self) -> bool {
        self.tcp().is_some_and(|address| !address.ip().is_loopback())
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenAddress::Tcp(address) => write!(f, "{address}"),
            ListenAddress::Unix(name) => write!(f, "unix:{name}"),
        }
    }
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<ListenAddress, String> {
        match text.strip_prefix("unix:") {
            Some(name) => Ok(ListenAddress::Unix(name.to_owned())),
            None => match text.parse() {
                Ok(address) => Ok(ListenAddress::Tcp(address)),
                Err(_) => Err(format!("invalid address `{text}`")),
            },
        }
    }
}

impl From<ListenAddress> for String {
    fn from(address: ListenAddress) -> String {
        address.to_string()
    }
}

impl TryFrom<String> for ListenAddress {
    type Error = String;

    fn try_from(text: String) -> Result<ListenAddress, String> {
        text.parse()
    }
}

/// Returns the port to reach a service at, given where it is listening: the main port (the first of
/// `ports`) if it listens there, else the lowest that is not assigned. `None`: neither.
pub fn listening_port(ports: &[u16], listening: &[ListenAddress]) -> Option<u16> {
    let all = || listening.iter().filter_map(ListenAddress::tcp).map(|address| address.port());
    let main = ports.first().copied().filter(|main| all().any(|port| port == *main));
    main.or_else(|| all().filter(|port| !ports.contains(port)).min())
}

/// Returns the URL of `port` on this machine, given where it is listening: at `host` if possible,
/// else on loopback, else at the first address. `None`: nothing is listening on the port.
pub fn local_url(
    form: &UrlFormat,
    host: &str,
    port: u16,
    listening: &[ListenAddress],
) -> Option<String> {
    let on_port = listening.iter().filter_map(ListenAddress::tcp).filter(|at| at.port() == port);
    let ips: Vec<IpAddr> = on_port.map(|address| address.ip()).collect();
    let (four, six) = (IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST));
    let meant = match host {
        "localhost" => accepts(&ips, four) || accepts(&ips, six),
        "0.0.0.0" => accepts(&ips, four),
        "::" => accepts(&ips, six),
        host => host.parse().is_ok_and(|ip| accepts(&ips, ip)),
    };
    if meant {
        return Some(form.format(host, port));
    }
    let ip = [four, six].into_iter().find(|ip| accepts(&ips, *ip)).or(ips.first().copied())?;
    Some(form.format(&ip.to_string(), port))
}

/// Returns a host to connect to: loopback instead of a wildcard.
pub fn connectable_host(host: &str) -> &str {
    match host {
        "0.0.0.0" => "127.0.0.1",
        "::" => "::1",
        host => host,
    }
}

/// Returns where a listener of a service binds: its checked host is an address, or `localhost`.
pub fn bind_address(host: &str, port: u16) -> SocketAddr {
    SocketAddr::new(host.parse().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)), port)
}

/// Formats `host:port`, with brackets around an IPv6 address and loopback instead of a wildcard,
/// which cannot be connected to.
pub(crate) fn host_port(host: &str, port: u16) -> String {
    match host {
        "0.0.0.0" => format!("127.0.0.1:{port}"),
        "::" => format!("[::1]:{port}"),
        host if host.contains(':') => format!("[{host}]:{port}"),
        host => format!("{host}:{port}"),
    }
}

/// Whether `host` is reachable from this machine only.
pub fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Whether one of these listeners accepts connections to `ip`.
pub fn accepts(listening: &[IpAddr], ip: IpAddr) -> bool {
    listening.iter().any(|at| *at == ip || at.is_unspecified() && at.is_ipv4() == ip.is_ipv4())
}

/// What surrounds the address in the URL of a service: `postgresql://user@` HOST:PORT `/database`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlFormat {
    /// The text before the address.
    pub prefix: String,
    /// The text after the address.
    pub suffix: String,
}

impl UrlFormat {
    /// Returns the URL at this address, with loopback instead of a wildcard.
    pub fn format(&self, host: &str, port: u16) -> String {
        format!("{}{}{}", self.prefix, host_port(host, port), self.suffix)
    }
}

impl Default for UrlFormat {
    /// `http://HOST:PORT`.
    fn default() -> UrlFormat {
        UrlFormat { prefix: "http://".to_owned(), suffix: String::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<ListenAddress> {
        text.split_whitespace().map(|word| word.parse().unwrap()).collect()
    }

    #[test]
    fn a_url_leads_to_a_listener() {
        for (host, listening, url) in [
            ("127.0.0.1", "127.0.0.1:80", Some("http://127.0.0.1:80")),
            ("127.0.0.1", "[::1]:80", Some("http://[::1]:80")),
            ("127.0.0.1", "0.0.0.0:80 [::]:80", Some("http://127.0.0.1:80")),
            ("127.0.0.1", "[::]:80", Some("http://[::1]:80")),
            ("127.0.0.1", "192.168.1.7:80", Some("http://192.168.1.7:80")),
            ("localhost", "[::1]:80", Some("http://localhost:80")),
            ("::1", "127.0.0.1:80", Some("http://127.0.0.1:80")),
            ("::1", "[::]:80", Some("http://[::1]:80")),
            ("0.0.0.0", "127.0.0.1:80", Some("http://127.0.0.1:80")),
            ("::", "[::]:80", Some("http://[::1]:80")),
            ("::", "0.0.0.0:80", Some("http://127.0.0.1:80")),
            ("127.0.0.1", "127.0.0.1:81 unix:/run/x", None),
        ] {
            let found = local_url(&UrlFormat::default(), host, 80, &read(listening));
            assert_eq!(found.as_deref(), url, "{host} {listening}");
        }
    }

    #[test]
    fn the_port_that_it_listens_on_counts() {
        for (ports, listening, port) in [
            (&[80][..], "127.0.0.1:80 127.0.0.1:50", Some(80)),
            (&[80], "127.0.0.1:5000 127.0.0.1:9229", Some(5000)),
            (&[80, 81], "127.0.0.1:81", None),
            (&[80, 81], "127.0.0.1:81 [::1]:82", Some(82)),
            (&[80], "unix:/run/x", None),
        ] {
            assert_eq!(listening_port(ports, &read(listening)), port, "{ports:?} {listening}");
        }
    }

    #[test]
    fn addresses_are_texts() {
        for text in ["127.0.0.1:80", "[::]:1", "unix:/run/a b.sock", "unix:@x"] {
            let address: ListenAddress = text.parse().unwrap();
            assert_eq!(serde_json::to_value(&address).unwrap(), text);
            assert_eq!(serde_json::from_value::<ListenAddress>(text.into()).unwrap(), address);
        }
        assert!(serde_json::from_value::<ListenAddress>("127.0.0.1".into()).is_err());
        assert!(read("0.0.0.0:1 10.0.0.1:1 [fd00::1]:1").iter().all(ListenAddress::is_public));
        assert!(!read("127.0.0.2:1 [::1]:1 unix:/x").iter().any(ListenAddress::is_public));
    }
}
