//! A request on its way: find its route, wait, choose a replica, send, stream.

use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode, Version};
use tokio::sync::watch;
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep};

use super::balance;
use super::client::ProxyClient;
use super::exchange::Exchange;
use super::exchange_ring::ExchangeRings;
use super::forward_request::ForwardRequest;
use super::headers;
use super::host_name::HostName;
use super::own_page::{OwnPage, requested_origin};
use super::recording::Recording;
use super::refusal::{Refusal, RefusalFormat};
use super::response_body::ResponseBody;
use super::route::{NotReady, Route, UpstreamId};
use super::route_table::RouteTable;
use super::traffic::Traffic;
use super::tunnel::tunnel;
use super::upstream::{InFlight, ServiceBody, Upstream};
use crate::https::HttpsConfig;
use crate::model::LoadBalancing;

/// The first pause after failed connections, doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const MAX_PAUSE: Duration = Duration::from_millis(500);

/// How long it may take until a run that has ended is known to have.
const RUN_END_TIME: Duration = Duration::from_millis(500);

/// How often a request is sent again because runs have ended under it.
const MAX_LOST: u32 = 8;

/// Answers one request.
pub(super) struct Forwarder {
    pub routes: watch::Receiver<Arc<RouteTable>>,
    pub traffic: Rc<Traffic>,
    pub rings: Rc<ExchangeRings>,
    pub https: Rc<HttpsConfig>,
    pub own_page: Option<Rc<dyn OwnPage>>,
    pub client: Rc<ProxyClient>,
}

/// A response whose head has arrived, and where from.
struct ForwardedResponse {
    route: Arc<Route>,
    response: Response<ServiceBody>,
    in_flight: InFlight,
}

/// What came of sending a request to one upstream.
enum SendOutcome {
    Answered(Response<ServiceBody>, InFlight),
    /// The connection ended within a short response, of which the client has got nothing.
    CutOff(hyper::Error),
    /// The request was not sent: nothing is listening, or no longer.
    NotSent(String),
    /// The request was not sent: the run has ended, or an idle connection to it.
    Stale,
    /// The connection ended before the response. Nothing speaks against sending the request again.
    Died {
        error: hyper::Error,
        /// Whether the connection was opened for this request.
        new: bool,
    },
    /// The response is invalid, or there is none and the service may have processed the request.
    Failed(hyper::Error),
}

/// What a request has met so far.
struct RequestWait {
    begun: Instant,
    parked: bool,
    /// Upstreams that failed since the last wait.
    failed: Vec<Arc<UpstreamId>>,
    /// The last reason.
    error: String,
    /// The next pause.
    pause: Duration,
    /// Whether a new connection died before the response.
    died: bool,
    /// How many runs have ended under it.
    lost: u32,
    /// Whether idle connections are to be trusted.
    reuse: bool,
}

impl Forwarder {
    /// Returns the response. If the client leaves, hyper drops this.
    pub async fn answer(
        mut self,
        request: Request<Incoming>,
    ) -> Result<Response<ResponseBody>, Infallible> {
        // Not within the condition, which would keep the routes locked.
        let origin = requested_origin(&request, &self.client, &self.routes.borrow());
        if let (Some(page), Some(origin)) = (&self.own_page, origin) {
            return Ok(page.answer(request, origin).await.map(ResponseBody::Page));
        }
        let format = RefusalFormat::accepted(request.headers());
        let mut exchange = Exchange::new(&request, self.client.scheme());
        let result = match ForwardRequest::check(request, &self.client) {
            Ok(request) => match self.forward(&request, &mut exchange).await {
                Ok(found) => deliver(request, found, self.client.scheme()),
                Err(refusal) => {
                    request.discard_body().await;
                    Err(refusal)
                }
            },
            Err(refusal) => Err(refusal),
        };
        Ok(match result {
            Ok((delivered, in_flight)) => {
                let (status, headers) = delivered.head();
                exchange.answered(status, headers, in_flight);
                delivered.with(exchange)
            }
            Err(refusal) => {
                let refusal = if self.client.is_own() { refusal } else { refusal.brief() };
                let response = refusal.response(format);
                exchange.refused(&refusal, &response);
                response
            }
        })
    }

    /// Sends the request to a replica that is ready, as soon as there is one.
    async fn forward(
        &mut self,
        request: &ForwardRequest,
        exchange: &mut Exchange,
    ) -> Result<ForwardedResponse, Refusal> {
        let mut wait = RequestWait::new();
        if self.client.tls_name.as_deref().is_some_and(|name| name != request.host.as_str()) {
            return Err(Refusal::misdirected(&request.host));
        }
        loop {
            let table = self.routes.borrow_and_update().clone();
            let route = request.find_route(&table, &self.client, &self.https, wait.parked)?;
            exchange.routed(request, &route, self.rings.of(&route.stack));
            if route.stack.https_only && self.must_redirect(&request.host) {
                return Err(Refusal::https_only(&route, request));
            }
            let cause = match route.not_ready() {
                None => {
                    let Some(upstream) = self.choose(&route, request, &wait) else {
                        let cause = wait.error.clone();
                        self.park(&route, &cause, &mut wait, exchange).await?;
                        continue;
                    };
                    let outcome = self.send(&route, request, &upstream, wait.reuse).await;
                    // It may be the request that ends the service.
                    let after_crash = matches!(outcome, SendOutcome::CutOff(_));
                    if outcome.is_lost()
                        && request.is_repeatable()
                        && wait.may_repeat()
                        && let Some(crashed) = self.run_ends(&route, &upstream.id, exchange).await
                        && (after_crash || !crashed)
                    {
                        continue;
                    }
                    if let Some((response, in_flight)) = wait.note(outcome, &route, &upstream)? {
                        return Ok(ForwardedResponse { route, response, in_flight });
                    }
                    continue;
                }
                Some(NotReady::Pending(_)) if route.stack.ending => {
                    return Err(Refusal::ending(&route.stack.stack));
                }
                Some(NotReady::Pending(cause)) => cause,
                Some(NotReady::Down(message)) => return Err(Refusal::down(message)),
            };
            self.park(&route, cause, &mut wait, exchange).await?;
        }
    }

    /// Whether a client must use `https` for this host instead. There are no certificates for addresses.
    fn must_redirect(&self, host: &HostName) -> bool {
        self.client.tls_name.is_none() && !host.is_address() && self.https.current().is_some()
    }

    /// Chooses one of the replicas that are ready and did not just fail.
    fn choose(
        &self,
        route: &Route,
        request: &ForwardRequest,
        wait: &RequestWait,
    ) -> Option<Rc<Upstream>> {
        let usable = route.ready().filter(|id| !wait.failed.contains(id));
        let mut usable: Vec<Rc<Upstream>> = usable.map(|id| self.traffic.upstream(id)).collect();
        if usable.len() < 2 {
            return usable.pop();
        }
        let in_flight: Vec<usize> = usable.iter().map(|upstream| upstream.in_flight()).collect();
        let replica = headers::replica_cookie(&request.headers);
        let sticky =
            replica.and_then(|name| usable.iter().position(|one| one.id.service.as_str() == name));
        let turn = self.traffic.route(route).next_turn();
        Some(usable.swap_remove(balance::choose(route.balance, &in_flight, turn, sticky)))
    }

    /// Waits for other routes, or for a short time if connections failed.
    async fn park(
        &mut self,
        route: &Route,
        cause: &str,
        wait: &mut RequestWait,
        exchange: &Exchange,
    ) -> Result<(), Refusal> {
        let left = route.stack.wait.saturating_sub(wait.begun.elapsed());
        if left.is_zero() {
            return Err(Refusal::late(route, cause));
        }
        let _place =
            self.traffic.park(route).map_err(|waiting| Refusal::crowded(route, waiting))?;
        wait.parked = true;
        self.traffic.wake(route);
        let _recorded = exchange.recording().map(Recording::wait);
        let pause = wait.next_pause();
        tokio::select! {
            biased;
            changed = self.routes.changed() => changed.map_err(|_| Refusal::closing()),
            () = self.client.left() => Err(Refusal::client_left()),
            () = sleep(pause.min(left)) => Ok(()),
        }
    }

    /// Waits until the run that has lost a request is known to have ended. Returns whether it crashed;
    /// `None`: it goes on, so the next attempt would be like this one.
    async fn run_ends(
        &mut self,
        route: &Route,
        run: &UpstreamId,
        exchange: &Exchange,
    ) -> Option<bool> {
        let _place = self.traffic.park(route).ok()?;
        let _recorded = exchange.recording().map(Recording::wait);
        let ended = self.routes.wait_for(|table| !table.is_ready(route, run));
        tokio::select! {
            biased;
            ended = ended => ended.ok().map(|table| table.has_crashed(route)),
            () = self.client.left() => None,
            () = sleep(RUN_END_TIME) => None,
        }
    }

    /// Sends the request once.
    async fn send(
        &self,
        route: &Route,
        request: &ForwardRequest,
        upstream: &Rc<Upstream>,
        reuse: bool,
    ) -> SendOutcome {
        let in_flight = upstream.count();
        // Idle connections may be dead already, which an upgraded one would not show.
        let idle = upstream.reuse().filter(|_| reuse && request.upgrade.is_none());
        let new = idle.is_none();
        let mut connection = match idle {
            Some(connection) => connection,
            None => match upstream.connect().await {
                Ok(connection) => connection,
                Err(error) => return SendOutcome::NotSent(error.to_string()),
            },
        };
        // The routes may have changed meanwhile.
        if !self.routes.borrow().is_ready(route, &upstream.id) {
            return SendOutcome::Stale;
        }
        let message = request.message(route, &upstream.id, &self.client);
        match connection.try_send(message).await {
            Ok(mut response) => {
                if let Err(error) = response.body_mut().gather().await {
                    return SendOutcome::CutOff(error);
                }
                upstream.give_back(connection);
                SendOutcome::Answered(response, in_flight)
            }
            Err(mut failed) => match failed.take_message() {
                Some(_) if new => SendOutcome::NotSent("connection closed".to_owned()),
                Some(_) => SendOutcome::Stale,
                None => match failed.into_error() {
                    error if error.is_parse() || !request.is_repeatable() => {
                        SendOutcome::Failed(error)
                    }
                    error => SendOutcome::Died { error, new },
                },
            },
        }
    }
}

impl SendOutcome {
    /// Whether the run may have ended under the request.
    fn is_lost(&self) -> bool {
        matches!(self, SendOutcome::CutOff(_) | SendOutcome::Died { new: true, .. })
    }
}

impl RequestWait {
    fn new() -> RequestWait {
        RequestWait {
            begun: Instant::now(),
            parked: false,
            failed: Vec::new(),
            error: String::new(),
            pause: FIRST_PAUSE,
            died: false,
            lost: 0,
            reuse: true,
        }
    }

    /// Whether a request is sent again after one more run has lost it.
    fn may_repeat(&mut self) -> bool {
        self.lost += 1;
        self.lost <= MAX_LOST
    }

    /// Notes an attempt. `None`: the request is to be sent again.
    fn note(
        &mut self,
        outcome: SendOutcome,
        route: &Route,
        upstream: &Upstream,
    ) -> Result<Option<(Response<ServiceBody>, InFlight)>, Refusal> {
        match outcome {
            SendOutcome::Answered(response, in_flight) => return Ok(Some((response, in_flight))),
            SendOutcome::Stale | SendOutcome::Died { new: false, .. } => self.reuse = false,
            SendOutcome::NotSent(error) => {
                self.failed.push(upstream.id.clone());
                self.error = error;
            }
            // Not more than twice.
            SendOutcome::Died { error, new: true } if !self.died => {
                self.died = true;
                self.failed.push(upstream.id.clone());
                self.error = error.to_string();
            }
            SendOutcome::Died { error, .. }
            | SendOutcome::CutOff(error)
            | SendOutcome::Failed(error) => {
                return Err(Refusal::broken(route, &error.to_string()));
            }
        }
        Ok(None)
    }

    /// Returns how long to wait for other routes. Without failed connections, only they can help.
    fn next_pause(&mut self) -> Duration {
        if self.failed.is_empty() {
            return Duration::MAX;
        }
        self.failed.clear();
        let next = (self.pause * 2).min(MAX_PAUSE);
        std::mem::replace(&mut self.pause, next)
    }
}

/// A response for the client.
enum DeliveredResponse {
    Message(Response<ServiceBody>),
    /// The connections become a tunnel.
    Upgrade {
        response: Response<()>,
        client: OnUpgrade,
        service: OnUpgrade,
    },
}

/// Makes the response for the client.
fn deliver(
    request: ForwardRequest,
    found: ForwardedResponse,
    scheme: &'static str,
) -> Result<(DeliveredResponse, InFlight), Refusal> {
    let ForwardedResponse { route, mut response, in_flight } = found;
    let upstream = &in_flight.upstream().id;
    let upgraded = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let service = upgraded.then(|| hyper::upgrade::on(&mut response));
    // hyper writes what the client understands.
    *response.version_mut() = Version::HTTP_11;
    let client = (scheme, &request.host.authority);
    headers::prepare_response(response.headers_mut(), upgraded, client, &upstream.addresses);
    let replica = upstream.service.as_str();
    let is_sticky = route.balance == LoadBalancing::Sticky && route.replicas.len() > 1;
    if is_sticky && headers::replica_cookie(&request.headers) != Some(replica) {
        headers::set_replica_cookie(response.headers_mut(), replica);
    }
    if request.method == Method::GET && headers::are_events(response.headers()) {
        // Servers wait for its end before they stop, and a browser asks for the events of the next run.
        response.body_mut().end_at(in_flight.upstream().retired());
    }
    let delivered = match (service, request.upgrade) {
        (None, _) => DeliveredResponse::Message(response),
        (Some(service), Some((_, client))) => {
            DeliveredResponse::Upgrade { response: response.map(|_| ()), client, service }
        }
        (Some(_), None) => {
            return Err(Refusal::broken(&route, "it changed the protocol unasked"));
        }
    };
    Ok((delivered, in_flight))
}

impl DeliveredResponse {
    fn head(&self) -> (StatusCode, &HeaderMap) {
        match self {
            DeliveredResponse::Message(response) => (response.status(), response.headers()),
            DeliveredResponse::Upgrade { response, .. } => (response.status(), response.headers()),
        }
    }

    /// Lets the exchange last as long as its response.
    fn with(self, exchange: Exchange) -> Response<ResponseBody> {
        match self {
            DeliveredResponse::Message(response) => {
                response.map(|body| ResponseBody::streamed(body, exchange))
            }
            DeliveredResponse::Upgrade { response, client, service } => {
                spawn_local(tunnel(client, service, exchange));
                response.map(|()| ResponseBody::own(Bytes::new()))
            }
        }
    }
}
