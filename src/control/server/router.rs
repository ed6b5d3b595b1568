use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::{BodyExt, Either, Full, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{self, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;
use tokio::sync::watch;

use super::attach_session::AttachSession;
use super::limits::ServerLimits;
use super::stream_body::StreamBody;
use super::upgrade::UpgradeSlot;
use crate::control::protocol::{
    AttachQuery, ErrorResponse, PROTOCOL, PROTOCOL_HEADER, QueryParams, ServicesRequest,
    TextResponse, UPGRADE, VERSION, VERSION_HEADER, WaitRequest, exactly_one, find_services,
    status_of,
};
use crate::control::{LogQuery, VersionResponse};
use crate::model::{EnvView, Message, MessageClass, Name, Snapshot, WhyView};
use crate::supervisor::{ControlRequest as Ask, RequestResult, SupervisorHandle};

type ApiResponse = Response<Either<Full<Bytes>, StreamBody>>;

/// What a request can reach. Cheap to clone.
#[derive(Clone)]
pub(super) struct Router {
    pub handle: SupervisorHandle,
    pub closing: watch::Receiver<bool>,
    pub limits: ServerLimits,
    /// Response to every request of a client that is not admitted.
    pub refuse: Option<ApiError>,
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
    Attach,
    Down,
    Services(fn(Vec<Name>) -> Ask),
    Wait,
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
        Ok(match self.handle(request).await {
            Ok(reply) => reply,
            Err(ApiError(status, error)) => full_body(json(status, &ErrorResponse { error })),
        })
    }

    async fn handle(self, request: Request<Incoming>) -> Result<ApiResponse, ApiError> {
        if let Some(no) = self.refuse {
            return Err(no);
        }
        let query = request.uri().query().unwrap_or("");
        match route(request.method(), request.uri().path())? {
            Endpoint::Stack => match wants_usage(query)? {
                true => {
                    let seen = self.handle.snapshot_with_usage().await?;
                    Ok(full_body(json(StatusCode::OK, &seen)))
                }
                false => Ok(full_body(json(StatusCode::OK, &*self.handle.snapshot().await?))),
            },
            Endpoint::Plan => {
                let plan = self.handle.plan().await?;
                Ok(full_body(json(StatusCode::OK, &plan)))
            }
            Endpoint::Why => {
                let view = why(&self.handle, query).await?;
                Ok(full_body(json(StatusCode::OK, &view)))
            }
            Endpoint::Env => {
                let view = environment(&self.handle, query).await?;
                Ok(full_body(json(StatusCode::OK, &view)))
            }
            Endpoint::Version => {
                let version = VersionResponse { version: VERSION.to_owned(), protocol: PROTOCOL };
                Ok(full_body(json(StatusCode::OK, &version)))
            }
            Endpoint::Logs => self.logs(query).await,
            Endpoint::Events => self.events(query),
            Endpoint::Attach => self.attach(request).await,
            Endpoint::Down => {
                body(request, &self.limits).await?;
                text_response(self.handle.ask(Ask::Down).await)
            }
            Endpoint::Wait => {
                let body = body(request, &self.limits).await?;
                let ask = awaited(&body, &*self.handle.snapshot().await?)?;
                text_response(self.handle.ask(ask).await)
            }
            Endpoint::Services(ask) => {
                let body = body(request, &self.limits).await?;
                let wanted = services(&body, &*self.handle.snapshot().await?)?;
                text_response(self.handle.ask(ask(wanted)).await)
            }
        }
    }

    /// Accepts the upgrade and leaves the session to the task that serves the connection.
    async fn attach(self, mut request: Request<Incoming>) -> Result<ApiResponse, ApiError> {
        let asks = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(UPGRADE.as_bytes());
        if !request.headers().get(header::UPGRADE).is_some_and(asks) {
            return Ok(full_body(upgrade_required()));
        }
        let query = AttachQuery::parse(request.uri().query().unwrap_or(""))?;
        let snapshot = self.handle.snapshot().await?;
        let service = resolve_service(&snapshot, &query.service)?;
        let attached = self.handle.attach(service.clone(), query.screen).await?;
        let upgrade = hyper::upgrade::on(&mut request);
        self.upgraded.put(AttachSession { upgrade, service, attached });
        let mut reply = Response::new(Full::default());
        *reply.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        name_protocol(&mut reply);
        let headers = reply.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static(UPGRADE));
        Ok(full_body(reply))
    }

    async fn logs(self, query: &str) -> Result<ApiResponse, ApiError> {
        let mut query = LogQuery::parse(query)?;
        let snapshot = self.handle.snapshot().await?;
        let mut meant = Vec::new();
        for name in &query.services {
            meant.extend(resolve_services(&snapshot, name.as_str())?);
        }
        query.services = meant;
        let services = (!query.services.is_empty()).then(|| query.services.clone());
        let last = query.last.unwrap_or(usize::MAX);
        let log = self.handle.logs().search(services, last, query.follow, query.log_filter());
        Ok(stream(StreamBody::logs(log, self.closing)))
    }

    fn events(self, query: &str) -> Result<ApiResponse, ApiError> {
        QueryParams::read(query, |_, _| {
            Err("/v1/events takes no parameters: it reports all services".to_owned())
        })?;
        Ok(stream(StreamBody::events(self.handle.events(), self.closing)))
    }
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

async fn environment(handle: &SupervisorHandle, query: &str) -> Result<EnvView, ApiError> {
    let text = QueryParams::read_service(query)?;
    let service = resolve_service(&*handle.snapshot().await?, &text)?;
    Ok(handle.environment(service).await?)
}

async fn why(handle: &SupervisorHandle, query: &str) -> Result<WhyView, ApiError> {
    let text = QueryParams::read_service(query)?;
    let service = resolve_service(&*handle.snapshot().await?, &text)?;
    Ok(handle.why(service).await?)
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
        "/v1/attach" => (Method::GET, Endpoint::Attach),
        "/v1/down" => (Method::POST, Endpoint::Down),
        "/v1/start" => (Method::POST, Endpoint::Services(Ask::Start)),
        "/v1/stop" => (Method::POST, Endpoint::Services(Ask::Stop)),
        "/v1/debug" => (Method::POST, Endpoint::Services(|names| Ask::Debug { names, on: true })),
        "/v1/undebug" => {
            (Method::POST, Endpoint::Services(|names| Ask::Debug { names, on: false }))
        }
        "/v1/wait" => (Method::POST, Endpoint::Wait),
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
async fn body(request: Request<Incoming>, limits: &ServerLimits) -> Result<Bytes, ApiError> {
    let too_long = || {
        let text = format!("request body exceeds {} bytes", limits.body);
        ApiError(StatusCode::PAYLOAD_TOO_LARGE, Message::new(MessageClass::Limit, text))
    };
    let body = request.into_body();
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

/// Returns the services that a request body names, without duplicates.
fn services(body: &[u8], snapshot: &Snapshot) -> Result<Vec<Name>, ApiError> {
    let bad = |text: String| {
        let help = r#"send a body such as {"services": ["api"]}"#;
        ApiError::from(Message::new(MessageClass::Usage, text).help(help))
    };
    let wanted: ServicesRequest =
        serde_json::from_slice(body).map_err(|why| bad(format!("invalid request body: {why}")))?;
    if wanted.services.is_empty() {
        return Err(bad("no services given".to_owned()));
    }
    all_known(snapshot, &wanted.services)
}

fn awaited(body: &[u8], snapshot: &Snapshot) -> Result<Ask, ApiError> {
    let read =
        if body.is_empty() { Ok(WaitRequest::default()) } else { serde_json::from_slice(body) };
    let wanted: WaitRequest = read.map_err(|why| {
        let text = format!("invalid request body: {why}");
        let help =
            r#"send a body such as {"services": ["api"], "for": "ready"}; both keys are optional"#;
        ApiError::from(Message::new(MessageClass::Usage, text).help(help))
    })?;
    Ok(Ask::Wait { names: all_known(snapshot, &wanted.services)?, until: wanted.what })
}

fn all_known(snapshot: &Snapshot, texts: &[String]) -> Result<Vec<Name>, ApiError> {
    let mut names = Vec::new();
    for text in texts {
        for name in resolve_services(snapshot, text)? {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    Ok(names)
}

/// Resolves a name to its service or replicas.
fn resolve_services(snapshot: &Snapshot, text: &str) -> Result<Vec<Name>, ApiError> {
    find_services(snapshot, text).map_err(|why| ApiError(StatusCode::NOT_FOUND, why))
}

/// Resolves a name to exactly one service.
fn resolve_service(snapshot: &Snapshot, text: &str) -> Result<Name, ApiError> {
    Ok(exactly_one(text, resolve_services(snapshot, text)?)?)
}

fn upgrade_required() -> Response<Full<Bytes>> {
    let text = format!("this path requires an upgrade to `{UPGRADE}`");
    let error = Message::new(MessageClass::Usage, text).help("use `devstack attach SERVICE`");
    let mut reply = json(StatusCode::UPGRADE_REQUIRED, &ErrorResponse { error });
    reply.headers_mut().insert(header::UPGRADE, HeaderValue::from_static(UPGRADE));
    reply
}

fn text_response(answer: RequestResult) -> Result<ApiResponse, ApiError> {
    Ok(full_body(json(StatusCode::OK, &TextResponse { text: answer? })))
}

fn stream(body: StreamBody) -> ApiResponse {
    let mut reply = Response::new(Either::Right(body));
    label(&mut reply, "application/x-ndjson");
    reply
}

fn full_body(reply: Response<Full<Bytes>>) -> ApiResponse {
    reply.map(Either::Left)
}

/// Returns a JSON response, with a newline for users who read it in a terminal.
fn json<T: Serialize>(status: StatusCode, what: &T) -> Response<Full<Bytes>> {
    let mut text = serde_json::to_vec(what).expect("responses serialize to JSON");
    text.push(b'\n');
    let mut reply = Response::new(Full::from(text));
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
