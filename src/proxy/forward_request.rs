use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{EXPECT, HeaderMap, HeaderValue};
use hyper::http::uri::PathAndQuery;
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, StatusCode, Uri};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::client::ProxyClient;
use super::headers::{self, ForwardedBy};
use super::host_name::HostName;
use super::recording::Recording;
use super::refusal::Refusal;
use super::request_body::{BodyGate, RequestBody, WaitingBody};
use super::route::{Route, UpstreamId};
use super::route_table::{RouteMatch, RouteTable};
use crate::https::HttpsConfig;

/// How long `100 Continue` of a service is waited for: many servers do not know it.
const CONTINUE_TIME: Duration = Duration::from_secs(1);

/// How much of a body is read for a refusal, and for how long: in bytes.
const DISCARD_MAX: usize = 4 << 20;
const DISCARD_TIME: Duration = Duration::from_secs(1);

/// A checked request that can be sent over one connection after the other.
pub(super) struct ForwardRequest {
    pub host: HostName,
    pub method: Method,
    /// In origin form.
    pub target: Uri,
    /// As the client sent them.
    pub headers: HeaderMap,
    body: WaitingBody,
    has_body: bool,
    /// The protocol to change to, and the client's side of it.
    pub upgrade: Option<(HeaderValue, OnUpgrade)>,
}

impl ForwardRequest {
    /// Checks what hyper leaves to its users.
    pub fn check(
        mut request: Request<Incoming>,
        client: &ProxyClient,
    ) -> Result<ForwardRequest, Refusal> {
        if *request.method() == Method::CONNECT {
            return Err(Refusal::tunnel());
        }
        let host = HostName::of(&request).ok_or_else(Refusal::no_host)?;
        if headers::has_transfer_coding(request.headers()) {
            return Err(Refusal::transfer_coding());
        }
        let upgrade = headers::wanted_upgrade(request.headers()).cloned();
        let upgrade = upgrade.map(|wanted| (wanted, hyper::upgrade::on(&mut request)));
        let (head, incoming) = request.into_parts();
        let target = head.uri.path_and_query().cloned();
        let target = Uri::from(target.unwrap_or_else(|| PathAndQuery::from_static("/")));
        let body = WaitingBody::new(incoming, client.handle());
        let has_body = !body.is_empty();
        let (method, headers) = (head.method, head.headers);
        Ok(ForwardRequest { host, method, target, headers, body, has_body, upgrade })
    }

    /// Finds its route. `parked`: it has waited for one already.
    pub fn find_route(
        &self,
        table: &RouteTable,
        client: &ProxyClient,
        https: &HttpsConfig,
        parked: bool,
    ) -> Result<Arc<Route>, Refusal> {
        match table.find_for(client, https, &self.host) {
            RouteMatch::Service(route) if headers::has_passed(&self.headers, &route.mark) => {
                Err(Refusal::looped(route))
            }
            RouteMatch::Service(route) => Ok(route.clone()),
            RouteMatch::NoService(_) | RouteMatch::Unknown if parked => {
                Err(Refusal::gone(&self.host))
            }
            RouteMatch::NoService(stack) => Err(Refusal::no_service(&self.host, stack)),
            RouteMatch::Unknown if client.is_remote() => Err(Refusal::unknown_to_remote()),
            RouteMatch::Unknown => Err(Refusal::unknown_host(&self.host, table)),
        }
    }

    /// Lets its body be recorded.
    pub fn record(&self, recording: Recording) {
        self.body.record(recording);
    }

    /// Whether it may be sent again after a connection that carried it ended without a response: the
    /// service has not got the whole request, or may get it twice.
    pub fn is_repeatable(&self) -> bool {
        !self.body.is_begun() && (self.method.is_idempotent() || self.has_body)
    }

    /// Reads what is left of a short body, and drops it: clients that are still sending when the
    /// connection is closed may lose the response. One that waits for `100 Continue` sends nothing.
    pub async fn discard_body(&self) {
        if self.has_body && !self.headers.contains_key(EXPECT) {
            // A client that is slow as well may lose it.
            let _ = timeout(DISCARD_TIME, self.body.discard(DISCARD_MAX)).await;
        }
    }

    /// Returns it for one connection to a service.
    pub fn message(
        &self,
        route: &Route,
        upstream: &UpstreamId,
        client: &ProxyClient,
    ) -> Request<RequestBody> {
        let mut headers = self.headers.clone();
        // HTTP/2 has no upgrades; a service may ignore one.
        let upgrade = self.upgrade.as_ref().filter(|_| !upstream.http2);
        let upgrade = upgrade.map(|(wanted, _)| wanted.clone());
        let by = ForwardedBy {
            scheme: client.scheme(),
            client: client.ip,
            port: client.reached.port(),
            host: &self.host.authority,
            mark: &route.mark,
        };
        headers::prepare_request(&mut headers, upgrade, &by);
        let host = headers::upstream_host(route.host, &self.host.authority, &upstream.addresses);
        let target = if upstream.http2 {
            headers::remove_http1(&mut headers);
            self.absolute_target(&host)
        } else {
            headers::set_host(&mut headers, host);
            self.target.clone()
        };
        let expects = self.has_body && headers.contains_key(EXPECT);
        let asked = Arc::new(Notify::new());
        let gate = expects.then(|| gate(asked.clone()));
        let mut message = Request::new(self.body.for_connection(gate));
        *message.method_mut() = self.method.clone();
        *message.uri_mut() = target;
        *message.headers_mut() = headers;
        if expects {
            hyper::ext::on_informational(&mut message, move |response| {
                if response.status() == StatusCode::CONTINUE {
                    asked.notify_one();
                }
            });
        }
        message
    }

    /// Returns the target with the host, as HTTP/2 wants it.
    fn absolute_target(&self, host: &str) -> Uri {
        let path = self.target.path_and_query().map_or("/", PathAndQuery::as_str);
        let absolute = Uri::builder().scheme("http").authority(host).path_and_query(path);
        // All parts are checked already.
        absolute.build().unwrap_or_else(|_| self.target.clone())
    }
}

/// Resolves when the service has asked for the body, or should have.
fn gate(asked: Arc<Notify>) -> BodyGate {
    Box::pin(async move {
        // A service that does not ask gets the body, too.
        let _ = timeout(CONTINUE_TIME, asked.notified()).await;
    })
}
