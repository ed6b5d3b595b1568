//! What the proxy needs to know of a stack and its services to answer for their names.

use serde::{Deserialize, Serialize};

/// How the proxy serves a stack: `[stack.proxy]`, with what was chosen at the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackProxy {
    /// The names of the stack end in this: `shop.localhost`, in a linked worktree
    /// `feature.shop.localhost`. The primary service has this name itself.
    pub domain: String,
    /// The port on which the proxy listens.
    pub port: u16,
    /// Whether there was a local CA when the stack started: without one, `https` does not work.
    #[serde(default)]
    pub has_ca: bool,
    /// What its file says about `https`.
    #[serde(default)]
    pub https: HttpsUse,
    /// How long a request waits for a service that is not ready, in milliseconds.
    pub wait_ms: u64,
    /// How many requests may wait for one service.
    pub parked: usize,
    /// Whether requests are recorded for `devstack requests`.
    #[serde(default)]
    pub requests: bool,
    /// How much of each body is recorded, in bytes.
    pub bodies: u64,
    /// The port on which `devstack front` lets the primary service answer.
    #[serde(default)]
    pub front: Option<u16>,
}

impl StackProxy {
    /// Returns the address of a service that never changes: `http://api.shop.localhost:7780`.
    pub fn origin(&self, label: &str) -> String {
        self.place().origin(self.https, label)
    }

    /// Returns the address of the primary service, without its label: `http://shop.localhost:7780`.
    pub fn own_origin(&self) -> String {
        origin(self.place().scheme(self.https), &self.domain, self.port)
    }

    /// Returns the address of a front port: `http://localhost:3000`.
    pub fn front_origin(&self, port: u16) -> String {
        origin(self.place().scheme(self.https), "localhost", port)
    }

    /// Returns where its names are.
    pub fn place(&self) -> ProxyPlace {
        ProxyPlace { domain: self.domain.clone(), port: self.port, has_ca: self.has_ca }
    }
}

/// Where the names of a stack are: chosen when it starts, and kept until it stops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyPlace {
    /// What the names end in, see [`StackProxy::domain`].
    pub domain: String,
    /// The port on which the proxy listens.
    pub port: u16,
    /// See [`StackProxy::has_ca`].
    pub has_ca: bool,
}

impl ProxyPlace {
    /// The port of the proxy, unless something else listens on it.
    pub const USUAL_PORT: u16 = 7780;

    /// Returns the address of a service: `http://api.shop.localhost:7780`.
    pub fn origin(&self, https: HttpsUse, label: &str) -> String {
        origin(self.scheme(https), &format!("{label}.{}", self.domain), self.port)
    }

    fn scheme(&self, https: HttpsUse) -> &'static str {
        match https {
            HttpsUse::Preferred | HttpsUse::Required if self.has_ca => "https",
            HttpsUse::Offered | HttpsUse::Preferred | HttpsUse::Required => "http",
        }
    }
}

/// Returns an origin as browsers send it: without the port that its scheme implies.
fn origin(scheme: &str, host: &str, port: u16) -> String {
    match (scheme, port) {
        ("http", 80) | ("https", 443) => format!("{scheme}://{host}"),
        _ => format!("{scheme}://{host}:{port}"),
    }
}

/// How a stack uses `https` for its names once the user has a local CA.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HttpsUse {
    /// It works; addresses are shown and passed on as `http`.
    #[default]
    Offered,
    /// Addresses are shown and passed on as `https`; `http` works too.
    Preferred,
    /// As preferred, and requests over `http` are redirected.
    Required,
}

/// How the proxy serves one service or all replicas of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceProxy {
    /// Its name is this and the domain of its stack. Replicas share it.
    pub label: String,
    /// Which `Host` header it gets.
    pub host: HostHeader,
    /// Which replica gets a request.
    pub balance: LoadBalancing,
    /// Whether it speaks HTTP/2 without TLS (h2c), as gRPC servers do, and not HTTP/1.1.
    #[serde(default)]
    pub http2: bool,
}

/// Which `Host` header the proxy sends to a service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HostHeader {
    /// The one of the client, so that redirects and cookies are for the name.
    #[default]
    Keep,
    /// The address of the service, for servers that accept no other.
    Upstream,
}

/// Which replica of a service gets a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoadBalancing {
    /// The one with the fewest requests in flight.
    #[default]
    Least,
    /// One after the other.
    RoundRobin,
    /// The same one for a client, by a cookie.
    Sticky,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_has_a_name_in_the_domain_of_its_stack() {
        let domain = "feature.shop.localhost".to_owned();
        let mut proxy = StackProxy {
            domain,
            port: 7780,
            has_ca: false,
            https: HttpsUse::Preferred,
            wait_ms: 0,
            parked: 0,
            requests: true,
            bodies: 0,
            front: None,
        };
        assert_eq!(proxy.origin("api"), "http://api.feature.shop.localhost:7780");
        proxy.has_ca = true;
        assert_eq!(proxy.origin("api"), "https://api.feature.shop.localhost:7780");
        assert_eq!(proxy.own_origin(), "https://feature.shop.localhost:7780");
        proxy.https = HttpsUse::Offered;
        assert_eq!(proxy.front_origin(3000), "http://localhost:3000");
    }

    #[test]
    fn an_origin_has_no_port_that_its_scheme_implies() {
        let place = |port, has_ca| {
            let domain = "shop.localhost".to_owned();
            ProxyPlace { domain, port, has_ca }.origin(HttpsUse::Preferred, "api")
        };
        assert_eq!(place(80, false), "http://api.shop.localhost");
        assert_eq!(place(443, false), "http://api.shop.localhost:443");
        assert_eq!(place(443, true), "https://api.shop.localhost");
        assert_eq!(place(80, true), "https://api.shop.localhost:80");
    }
}
