use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http_body_util::{BodyExt, Either, Full, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{self, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;
use tokio::sync::watch;

use super::attach_session::AttachSession;
use super::client_table::{ClientPlace, ClientStay};
use super::follower_thread::FollowerThread;
use super::limits::ServerLimits;
use super::request_body::{
    action_body, action_order, awaited, resolve_service, resolve_services, services,
};
use super::stream_body::{LogMarks, StreamBody};
use super::upgrade::UpgradeSlot;
use crate::control::protocol::{
    AttachQuery, ErrorResponse, OUTPUT_HEADER, PROTOCOL, PROTOCOL_HEADER, QueryParams,
    TextResponse, UPGRADE, VERSION, VERSION_HEADER, WaitAnswer, status_of,
};
use crate::control::{ChangesView, LogQuery, VersionResponse};
use crate::model::{ActionStop, CursorKind, CursorText, Message, MessageClass, Name};
use crate::supervisor::{ControlRequest as Ask, RequestResult, SupervisorHandle};
use crate::sys::file_id::FileId;

/// stdout and stderr.
const MAX_OUTPUT_FILES: usize = 2;

const CLOSE: HeaderValue = HeaderValue::from_static("close");

type ApiResponse = Response<Either<Full<Bytes>, StreamBody>>;

/// What a request can reach. Cheap to clone.
#[derive(Clone)]
pub(super) struct Router {
    pub handle: SupervisorHandle,
    pub closing: watch::Receiver<bool>,
    pub limits: ServerLimits,
    /// Or the response to every request of a client that is not admitted.
    pub place: Result<Arc<ClientPlace>, ApiError>,
    pub followers: FollowerThread,
    /// Receives the session if the connection stops being HTTP.
    pub upgraded: UpgradeSlot,
}

enum Endpoint {
    Stack,
    Plan,
    Env,
    Why,
    Version,
    Logs,
    Events,
    Changes,
    Attach,
    Down,
    Services(fn(Vec<Name>) -> Ask),
    Wake,
    Wait,
    Do,
    StopAction,
}

impl Endpoint {
    /// Returns how long its clients stay. Whatever is refused, `down` is not.
    fn stay(&self) -> ClientStay {
        match self {
            Endpoint::Logs | Endpoint::Events => ClientStay::Streaming(Instant::now()),
            Endpoint::Attach | Endpoint::Wait | Endpoint::Do => ClientStay::Waiting,
            Endpoint::Services(_) => ClientStay::Acting,
            Endpoint::Stack
            | Endpoint::Plan
            | Endpoint::Env
            | Endpoint::Why
            | Endpoint::Version
            | Endpoint::Wake
            | Endpoint::StopAction
            | Endpoint::Changes
            | Endpoint::Down => ClientStay::Brief,
        }
    }
}

/// An error response: status and reason.
#[derive(Clone)]
pub(super) struct ApiError(pub StatusCode, pub Message);

impl From<Message> for ApiError {
    fn from(message: Message) -> ApiError {
        ApiError(status_of(message.class), message)
    }
}

impl Router {
    /// Responds to a request. Client errors are responses, too.
    pub async fn respond(self, request: Request<Incoming>) -> Result<ApiResponse, Infallible> {
        let place = self.place.clone().ok();
        let answer = self.handle(request).await;
        let lasts = |reply: &ApiResponse| {
            matches!(reply.body(), Either::Right(_))
                || reply.status() == StatusCode::SWITCHING_PROTOCOLS
        };
        if let Some(place) = place.filter(|_| !answer.as_ref().is_ok_and(lasts)) {
            // Never refused.
            let _ = place.stay(ClientStay::Answered);
        }
        Ok(match answer {
            Ok(reply) => reply,
            Err(ApiError(status, error)) => {
                let mut reply = json(status, &ErrorResponse { error });
                if status == StatusCode::SERVICE_UNAVAILABLE {
                    // It must not keep a place.
                    reply.headers_mut().insert(header::CONNECTION, CLOSE);
                }
                reply
            }
        })
    }

    async fn handle(self, mut request: Request<Incoming>) -> Result<ApiResponse, ApiError> {
        let place = self.place.clone()?;
        let endpoint = route(request.method(), request.uri().path())?;
        let body = match *request.method() == Method::POST {
            true => body(request.body_mut(), &self.limits).await?,
            false => Bytes::new(),
        };
        // A client whose request has not arrived is silent.
        let stay = endpoint.stay();
        place.stay(stay)?;
        if stay != ClientStay::Brief {
            // What a report such as `ps` prints may be meant for a service.
            place.prints_into(self.handle.output_files().claim(output_files(request.headers())));
        }
        let query = request.uri().query().unwrap_or("");
        match endpoint {
            Endpoint::Stack => match wants_usage(query)? {
                true => ok(&self.handle.snapshot_with_usage().await?),
                false => ok(&*self.handle.snapshot().await?),
            },
            Endpoint::Plan => ok(&self.handle.plan().await?),
            Endpoint::Why => {
                let service = self.service_of(query).await?;
                ok(&self.handle.why(service).await?)
            }
            Endpoint::Env => {
                let service = self.service_of(query).await?;
                ok(&self.handle.environment(service).await?)
            }
            Endpoint::Version => {
                ok(&VersionResponse { version: VERSION.to_owned(), protocol: PROTOCOL })
            }
            Endpoint::Logs => self.logs(query, place).await,
            Endpoint::Events => self.events(query, place),
            Endpoint::Changes => self.changes(query).await,
            Endpoint::Attach => self.attach(request).await,
            Endpoint::Down => text_response(self.handle.ask(Ask::Down).await),
            Endpoint::Wait => {
                let (ask, progress) = awaited(&body, &*self.handle.snapshot().await?)?;
                if !progress {
                    return text_response(self.handle.ask(ask).await);
                }
                let (events, handle) = (self.handle.events(), self.handle);
                let answer = async move { wait_end(handle.ask(ask).await) };
                Ok(stream(StreamBody::wait(events, answer, self.closing)))
            }
            Endpoint::Do => {
                let order = action_order(&body, &*self.handle.snapshot().await?)?;
                let output = self.handle.run_action(order).await?;
                Ok(stream(StreamBody::action(output, self.closing)))
            }
            Endpoint::StopAction => {
                let ActionStop { service, action, number } = action_body(&body)?;
                let service = resolve_service(&*self.handle.snapshot().await?, &service)?;
                text_response(self.handle.stop_action(service, action, number).await)
            }
            Endpoint::Wake => {
                self.handle.wake(services(&body, &*self.handle.snapshot().await?)?);
                text_response(Ok("awake".to_owned()))
            }
            Endpoint::Services(ask) => {
                let wanted = services(&body, &*self.handle.snapshot().await?)?;
                text_response(self.handle.ask(ask(wanted)).await)
            }
        }
    }

    /// Accepts the upgrade and leaves the session to the task that serves the connection.
    async fn attach(self, mut request: Request<Incoming>) -> Result<ApiResponse, ApiError> {
        let asks = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(UPGRADE.as_bytes());
        if !request.headers().get(header::UPGRADE).is_some_and(asks) {
            return Ok(upgrade_required());
        }
        let query = AttachQuery::parse(request.uri().query().unwrap_or(""))?;
        let snapshot = self.handle.snapshot().await?;
        let service = resolve_service(&snapshot, &query.service)?;
        let attached = self.handle.attach(service.clone(), query.screen).await?;
        let upgrade = hyper::upgrade::on(&mut request);
        self.upgraded.put(AttachSession { upgrade, service, attached });
        let mut reply = Response::new(Either::Left(Full::default()));
        *reply.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        name_protocol(&mut reply);
        let headers = reply.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static(UPGRADE));
        Ok(reply)
    }

    async fn service_of(&self, query: &str) -> Result<Name, ApiError> {
        let text = QueryParams::read_service(query)?;
        resolve_service(&*self.handle.snapshot().await?, &text)
    }

    async fn logs(self, query: &str, place: Arc<ClientPlace>) -> Result<ApiResponse, ApiError> {
        let mut query = LogQuery::parse(query)?;
        let snapshot = self.handle.snapshot().await?;
        let mut meant = Vec::new();
        for name in &query.services {
            meant.extend(resolve_services(&snapshot, name.as_str())?);
        }
        query.services = meant;
        let services = (!query.services.is_empty()).then(|| query.services.clone());
        let (logs, mut filter) = (self.handle.logs(), query.log_filter());
        let first = query.after.as_ref().map(|after| after.number_in(Some(logs.start_id())));
        filter.from = filter.from.or(first);
        let last = query.last.unwrap_or(usize::MAX);
        let log = logs.search(services, last, query.follow, filter);
        let body = StreamBody::logs(log, LogMarks::of(&query), &self.followers, self.closing);
        Ok(stream(body.of(place)))
    }

    async fn changes(self, query: &str) -> Result<ApiResponse, ApiError> {
        let since = ChangesView::parse_since(query)?;
        let stack = self.handle.snapshot().await?.stack.clone();
        let start = self.handle.logs().start_id();
        let mut gap = None;
        let (changes, newest) = self.handle.past_events(|oldest, newest| {
            let (after, why) = ChangesView::resume(since.as_ref(), start, oldest, newest);
            gap = why;
            after
        });
        let cursor = CursorText::new(CursorKind::Changes, start, newest).to_string();
        ok(&ChangesView { version: 1, stack, cursor, gap, changes })
    }

    fn events(self, query: &str, place: Arc<ClientPlace>) -> Result<ApiResponse, ApiError> {
        QueryParams::read(query, |_, _| {
            Err("/v1/events takes no parameters: it reports all services".to_owned())
        })?;
        Ok(stream(StreamBody::events(self.handle.events(), self.closing).of(place)))
    }
}

/// Returns the files that the client prints into. What is not understood is ignored.
fn output_files(headers: &HeaderMap) -> Vec<FileId> {
    let named = headers.get_all(OUTPUT_HEADER).iter().take(MAX_OUTPUT_FILES);
    named.filter_map(|value| FileId::parse(value.to_str().ok()?)).collect()
}

fn wants_usage(query: &str) -> Result<bool, Message> {
    let mut usage = true;
    QueryParams::read(query, |key, value| match (key, value) {
        ("usage", "true" | "false") => {
            usage = value == "true";
            Ok(())
        }
        _ => Err("use only `usage`: /v1/stack?usage=false omits CPU and memory".to_owned()),
    })?;
    Ok(usage)
}

fn route(method: &Method, path: &str) -> Result<Endpoint, ApiError> {
    let (allowed, route) = match path {
        "/v1/stack" => (Method::GET, Endpoint::Stack),
        "/v1/plan" => (Method::GET, Endpoint::Plan),
        "/v1/env" => (Method::GET, Endpoint::Env),
        "/v1/why" => (Method::GET, Endpoint::Why),
        "/v1/version" => (Method::GET, Endpoint::Version),
        "/v1/logs" => (Method::GET, Endpoint::Logs),
        "/v1/events" => (Method::GET, Endpoint::Events),
        "/v1/changes" => (Method::GET, Endpoint::Changes),
        "/v1/attach" => (Method::GET, Endpoint::Attach),
        "/v1/down" => (Method::POST, Endpoint::Down),
        "/v1/start" => (Method::POST, Endpoint::Services(Ask::Start)),
        "/v1/stop" => (Method::POST, Endpoint::Services(Ask::Stop)),
        "/v1/debug" => (Method::POST, Endpoint::Services(|names| Ask::Debug { names, on: true })),
        "/v1/undebug" => {
            (Method::POST, Endpoint::Services(|names| Ask::Debug { names, on: false }))
        }
        "/v1/wake" => (Method::POST, Endpoint::Wake),
        "/v1/wait" => (Method::POST, Endpoint::Wait),
        "/v1/do" => (Method::POST, Endpoint::Do),
        "/v1/do/stop" => (Method::POST, Endpoint::StopAction),
        "/v1/restart" => (Method::POST, Endpoint::Services(Ask::Restart)),
        _ => {
            let text = format!("unknown path (devstack {VERSION})");
            let help = "see docs/protocol.md, or start with `GET /v1/stack`";
            return Err(ApiError(
                StatusCode::NOT_FOUND,
                Message::new(MessageClass::Usage, text).help(help),
            ));
        }
    };
    if method == allowed {
        return Ok(route);
    }
    let text = format!("{path} allows only {allowed}");
    Err(ApiError(StatusCode::METHOD_NOT_ALLOWED, Message::new(MessageClass::Usage, text)))
}

/// Reads the request body within the limits of size and time.
async fn body(body: &mut Incoming, limits: &ServerLimits) -> Result<Bytes, ApiError> {
    let too_long = || {
        let text = format!("request body exceeds {} bytes", limits.body);
        ApiError(StatusCode::PAYLOAD_TOO_LARGE, Message::new(MessageClass::Limit, text))
    };
    // Reject a declared length over the limit without reading.
    if body.size_hint().lower() > limits.body as u64 {
        return Err(too_long());
    }
    let late = Message::new(MessageClass::Limit, "timed out reading the request body");
    match tokio::time::timeout(limits.body_time, Limited::new(body, limits.body).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(too_long()),
        Ok(Err(_)) => {
            let broken = Message::new(MessageClass::Usage, "invalid request body");
            Err(broken.into())
        }
        Err(_) => Err(ApiError(StatusCode::REQUEST_TIMEOUT, late)),
    }
}

fn upgrade_required() -> ApiResponse {
    let text = format!("this path requires an upgrade to `{UPGRADE}`");
    let error = Message::new(MessageClass::Usage, text).help("use `devstack attach SERVICE`");
    let mut reply = json(StatusCode::UPGRADE_REQUIRED, &ErrorResponse { error });
    reply.headers_mut().insert(header::UPGRADE, HeaderValue::from_static(UPGRADE));
    reply
}

fn text_response(answer: RequestResult) -> Result<ApiResponse, ApiError> {
    ok(&TextResponse { text: answer? })
}

/// Returns the last line of a wait with progress.
fn wait_end(result: RequestResult) -> Bytes {
    let line = WaitAnswer::of(result);
    let mut text = serde_json::to_vec(&line).expect("responses serialize to JSON");
    text.push(b'\n');
    Bytes::from(text)
}

fn stream(body: StreamBody) -> ApiResponse {
    let mut reply = Response::new(Either::Right(body));
    label(&mut reply, "application/x-ndjson");
    reply
}

fn ok(what: &impl Serialize) -> Result<ApiResponse, ApiError> {
    Ok(json(StatusCode::OK, what))
}

/// Returns a JSON response, with a newline for terminals.
fn json(status: StatusCode, what: &impl Serialize) -> ApiResponse {
    let mut text = serde_json::to_vec(what).expect("responses serialize to JSON");
    text.push(b'\n');
    let mut reply = Response::new(Either::Left(Full::from(text)));
    *reply.status_mut() = status;
    label(&mut reply, "application/json");
    reply
}

fn label<B>(reply: &mut Response<B>, kind: &'static str) {
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    name_protocol(reply);
}

fn name_protocol<B>(reply: &mut Response<B>) {
    let headers = reply.headers_mut();
    headers.insert(PROTOCOL_HEADER, HeaderValue::from(PROTOCOL));
    headers.insert(VERSION_HEADER, HeaderValue::from_static(VERSION));
}

#[cfg(fuzzing)]
pub(crate) fn fuzz(path: &str, body: &[u8], snapshot: &crate::model::Snapshot) {
    for method in [Method::GET, Method::POST] {
        if let Ok(endpoint) = route(&method, path) {
            endpoint.stay();
        }
    }
    for name in services(body, snapshot).unwrap_or_default() {
        assert!(snapshot.services.iter().any(|service| service.name == name));
    }
    let _ = awaited(body, snapshot);
    let _ = action_order(body, snapshot);
}
