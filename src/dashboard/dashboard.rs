use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, StatusCode};

use super::api::{self, ApiCall};
use super::launch_codes::LaunchCodes;
use super::reply::{self, DashboardError, DashboardResponse};
use super::{DashboardToken, access, page_files};
use crate::proxy::{OwnPage, OwnPageResponse};
use crate::sync::lock_unpoisoned;

/// The limits for the body of a request.
const BODY_SIZE: usize = 64 << 10;
const BODY_TIME: Duration = Duration::from_secs(5);

/// How many tabs can follow something at once.
const MAX_STREAMS: usize = 64;

/// How many wrong tokens are compared in a second.
const MAX_WRONG: u32 = 10;

/// Answers the requests of browsers. Cheap to clone.
#[derive(Clone)]
pub struct Dashboard(Arc<DashboardState>);

struct DashboardState {
    runtime: PathBuf,
    token: Mutex<DashboardToken>,
    codes: LaunchCodes,
    wrong: Mutex<WrongTokens>,
    streams: Arc<AtomicUsize>,
}

/// Wrong tokens of the last second.
#[derive(Default)]
struct WrongTokens {
    since: Option<Instant>,
    count: u32,
}

/// One of the responses that last.
pub(super) struct StreamPlace(Arc<AtomicUsize>);

impl Drop for StreamPlace {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Dashboard {
    /// Creates a dashboard of this user, whose runtime directory has the token.
    ///
    /// # Errors
    /// The token cannot be used.
    pub fn new(runtime: &Path) -> io::Result<Dashboard> {
        Ok(Dashboard(Arc::new(DashboardState {
            runtime: runtime.to_owned(),
            token: Mutex::new(DashboardToken::in_dir(runtime)?),
            codes: LaunchCodes::default(),
            wrong: Mutex::default(),
            streams: Arc::default(),
        })))
    }

    /// Returns the response to a request to one of these origins, such as `http://127.0.0.1:7779`.
    pub async fn answer(
        &self,
        request: Request<Incoming>,
        origins: &[String],
    ) -> DashboardResponse {
        self.respond(request, origins).await.unwrap_or_else(|error| error.response())
    }

    async fn respond(
        &self,
        request: Request<Incoming>,
        origins: &[String],
    ) -> Result<DashboardResponse, DashboardError> {
        let (head, body) = request.into_parts();
        access::check(&head, origins)
            .map_err(|refusal| DashboardError::usage(refusal.status(), refusal.text()))?;
        let path = head.uri.path();
        if !access::is_api(path) {
            let (kind, text) = page_files::find(path).ok_or_else(not_found)?;
            return match head.method {
                Method::GET => Ok(reply::file(kind, text)),
                _ => Ok(only("GET")),
            };
        }
        if path == "/api/token" {
            if head.method != Method::POST {
                return Ok(only("POST"));
            }
            let code: api::CodeBody = parse(&read(body).await?)?;
            let valid = self.0.codes.redeem(&code.code, Instant::now());
            return if valid { Ok(self.token_reply()) } else { Err(self.wrong_token()) };
        }
        if !access::bearer(&head.headers).is_some_and(|given| self.is_token(given)) {
            return Err(match access::bearer(&head.headers) {
                Some(_) => self.wrong_token(),
                None => unauthorized("a token is required"),
            });
        }
        let call = ApiCall::of(path).ok_or_else(not_found)?;
        if head.method != call.method() {
            return Ok(only(call.method().as_str()));
        }
        let body = read(body).await?;
        match call {
            ApiCall::Code => {
                let code = self.0.codes.issue(Instant::now());
                let code = code.map_err(|error| DashboardError::internal("make a code", &error))?;
                Ok(reply::json(StatusCode::OK, &api::CodeBody { code: code.as_str().to_owned() }))
            }
            ApiCall::Do => api::act(parse(&body)?).await,
            ApiCall::Action => api::run_action(parse(&body)?, self.stream_place()?).await,
            ApiCall::StopAction => api::stop_action(parse(&body)?).await,
            ApiCall::Get(what) => {
                let place = || self.stream_place();
                api::get(what, head.uri.query().unwrap_or(""), &self.0.runtime, place).await
            }
        }
    }

    fn is_token(&self, given: &[u8]) -> bool {
        if lock_unpoisoned(&self.0.token).is(given) {
            return true;
        }
        // The file may have been removed, and another command has created another one.
        let may_look = lock_unpoisoned(&self.0.wrong).count_now() < MAX_WRONG;
        let Some(current) =
            may_look.then(|| DashboardToken::in_dir(&self.0.runtime).ok()).flatten()
        else {
            return false;
        };
        let is = current.is(given);
        *lock_unpoisoned(&self.0.token) = current;
        is
    }

    fn token_reply(&self) -> DashboardResponse {
        let token = lock_unpoisoned(&self.0.token).as_str().to_owned();
        reply::json(StatusCode::OK, &serde_json::json!({ "token": token }))
    }

    /// Counts a wrong token.
    fn wrong_token(&self) -> DashboardError {
        let mut wrong = lock_unpoisoned(&self.0.wrong);
        if wrong.count_now() >= MAX_WRONG {
            return DashboardError::usage(StatusCode::TOO_MANY_REQUESTS, "too many wrong tokens");
        }
        wrong.count += 1;
        unauthorized("the token is wrong, or no longer valid")
    }

    fn stream_place(&self) -> Result<StreamPlace, DashboardError> {
        let place = StreamPlace(self.0.streams.clone());
        if self.0.streams.fetch_add(1, Ordering::Relaxed) < MAX_STREAMS {
            return Ok(place);
        }
        let text = "too many tabs are open";
        Err(DashboardError::usage(StatusCode::SERVICE_UNAVAILABLE, text))
    }
}

impl OwnPage for Dashboard {
    fn answer(&self, request: Request<Incoming>, origin: String) -> OwnPageResponse {
        let dashboard = self.clone();
        Box::pin(async move { Dashboard::answer(&dashboard, request, &[origin]).await })
    }
}

impl WrongTokens {
    fn count_now(&mut self) -> u32 {
        let over = self.since.is_none_or(|since| since.elapsed() >= Duration::from_secs(1));
        if over {
            *self = WrongTokens { since: Some(Instant::now()), count: 0 };
        }
        self.count
    }
}

async fn read(body: Incoming) -> Result<Vec<u8>, DashboardError> {
    let too_long = || DashboardError::usage(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long");
    if body.size_hint().lower() > BODY_SIZE as u64 {
        return Err(too_long());
    }
    match tokio::time::timeout(BODY_TIME, Limited::new(body, BODY_SIZE).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes().into()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_long()),
        Ok(Err(_)) => Err(DashboardError::usage(StatusCode::BAD_REQUEST, "the body is incomplete")),
        Err(_) => Err(DashboardError::usage(
            StatusCode::REQUEST_TIMEOUT,
            "the body did not arrive in time",
        )),
    }
}

fn parse<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, DashboardError> {
    serde_json::from_slice(body).map_err(|why| {
        DashboardError::usage(StatusCode::BAD_REQUEST, format!("invalid body: {why}"))
    })
}

fn not_found() -> DashboardError {
    DashboardError::usage(StatusCode::NOT_FOUND, "not found")
}

fn unauthorized(text: &str) -> DashboardError {
    let error = DashboardError::usage(StatusCode::UNAUTHORIZED, text);
    DashboardError(error.0, error.1.help("run `devstack dashboard` for a link"))
}

fn only(method: &str) -> DashboardResponse {
    let error = DashboardError::usage(StatusCode::METHOD_NOT_ALLOWED, format!("use {method}"));
    let mut response = error.response();
    let allow = HeaderValue::from_str(method).expect("methods are header values");
    response.headers_mut().insert(header::ALLOW, allow);
    response
}
