use std::convert::Infallible;
use std::pin::Pin;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::{Request, Response};

use super::client::ProxyClient;
use super::host_name::HostName;
use super::route_table::RouteTable;

/// A response of [`OwnPage`], once it is there.
pub type OwnPageResponse =
    Pin<Box<dyn Future<Output = Response<UnsyncBoxBody<Bytes, Infallible>>>>>;

/// Answers requests to the name that is devstack's own. They come from this machine.
pub trait OwnPage {
    /// Returns the response to a request to this origin: `http://devstack.localhost:7780`.
    fn answer(&self, request: Request<Incoming>, origin: String) -> OwnPageResponse;
}

/// The name that is devstack's own, unless a stack has it.
pub const OWN_NAME: &str = "devstack.localhost";

/// Returns the origin of devstack's own page at a port.
pub fn own_origin(scheme: &str, port: u16) -> String {
    match (scheme, port) {
        ("http", 80) | ("https", 443) => format!("{scheme}://{OWN_NAME}"),
        _ => format!("{scheme}://{OWN_NAME}:{port}"),
    }
}

/// Returns the origin that a request is for, if that is devstack's own page.
pub(super) fn requested_origin(
    request: &Request<Incoming>,
    client: &ProxyClient,
    routes: &RouteTable,
) -> Option<String> {
    let host = HostName::of(request)?;
    let is_own = host.as_str() == OWN_NAME
        && !client.is_remote()
        && client.tls_name.as_deref().is_none_or(|name| name == OWN_NAME)
        && !routes.has_name(OWN_NAME);
    is_own.then(|| own_origin(client.scheme(), client.reached.port()))
}
