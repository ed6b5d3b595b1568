use std::net::IpAddr;

use hyper::header::{HOST, HeaderMap};
use hyper::http::uri::Authority;
use hyper::{Request, Uri};

/// The name that a request is for: in lower case, without its port and without a final dot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HostName {
    name: String,
    /// As the client wrote it, with its port.
    pub authority: Authority,
}

impl HostName {
    /// Reads the name that a request is for. An absolute target outweighs the header. `None`: it has
    /// none, several or an invalid one.
    pub fn of<B>(request: &Request<B>) -> Option<HostName> {
        HostName::read(request.uri(), request.headers())
    }

    fn read(target: &Uri, headers: &HeaderMap) -> Option<HostName> {
        let mut hosts = headers.get_all(HOST).iter();
        let header = hosts.next();
        if hosts.next().is_some() {
            return None;
        }
        let authority = match target.authority() {
            Some(authority) => authority.clone(),
            None => Authority::try_from(header?.as_bytes()).ok()?,
        };
        let name = authority.host().to_ascii_lowercase();
        let name = name.strip_suffix('.').unwrap_or(&name).to_owned();
        let plain = !name.is_empty() && !authority.as_str().contains('@');
        plain.then_some(HostName { name, authority })
    }

    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// Returns the name and those that it is below: `a.b.c`, `b.c`, `c`.
    pub fn suffixes(&self) -> impl Iterator<Item = &str> {
        let dots = self.name.match_indices('.').map(|(at, _)| at + 1);
        std::iter::once(0).chain(dots).map(|at| &self.name[at..])
    }

    /// Whether it is `localhost` or a loopback address. No page from elsewhere has such a name.
    pub fn is_this_machine(&self) -> bool {
        self.name == "localhost" || self.address().is_some_and(|ip| ip.is_loopback())
    }

    pub fn is_address(&self) -> bool {
        self.address().is_some()
    }

    pub fn is(&self, address: IpAddr) -> bool {
        self.address() == Some(address)
    }

    fn address(&self) -> Option<IpAddr> {
        self.name.trim_start_matches('[').trim_end_matches(']').parse().ok()
    }

    /// Whether no server on the internet can have this name: pages from there cannot use it.
    pub fn is_local(&self) -> bool {
        self.name.ends_with(".localhost")
    }
}
