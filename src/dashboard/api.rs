//! What the page asks for: what the control sockets of the stacks have, and which stacks there are.

use std::path::Path;
use std::time::Duration;

use hyper::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::api_query::ApiQuery;
use super::dashboard::StreamPlace;
use super::hidden_env::hidden_env;
use super::reply::{self, DashboardError, DashboardResponse};
use super::service_runs::service_runs;
use super::tab_stream::TabQuery;
use super::{stack_list, tab_stream};
use crate::control::{ClientError, ControlClient, LogQuery};
use crate::front_door::{DoorFiles, ExchangeFeed, ExchangeQuery, ExchangeReader};
use crate::log::StatusMode;
use crate::model::{ActionRequest, ActionStop, Snapshot};
use crate::ports::{explain_held, report};

/// How long a request to act is waited for. Later results are in the events.
const ACTION_TIME: Duration = Duration::from_millis(1_500);

/// How many requests are listed.
const MAX_EXCHANGES: usize = 300;

/// What a path of `/api` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ApiCall {
    /// Make a code that a browser exchanges for the token.
    Code,
    /// Act on a stack.
    Do,
    /// Run an action of a service.
    Action,
    /// End an action that runs.
    StopAction,
    Get(ApiView),
}

/// What can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ApiView {
    Stacks,
    Stack,
    Why,
    Env,
    Ports,
    Runs,
    Requests,
    Logs,
    Stream,
}

impl ApiCall {
    pub fn of(path: &str) -> Option<ApiCall> {
        Some(match path.strip_prefix("/api/")? {
            "code" => ApiCall::Code,
            "do" => ApiCall::Do,
            "action" => ApiCall::Action,
            "action/stop" => ApiCall::StopAction,
            "stacks" => ApiCall::Get(ApiView::Stacks),
            "stack" => ApiCall::Get(ApiView::Stack),
            "why" => ApiCall::Get(ApiView::Why),
            "env" => ApiCall::Get(ApiView::Env),
            "ports" => ApiCall::Get(ApiView::Ports),
            "runs" => ApiCall::Get(ApiView::Runs),
            "requests" => ApiCall::Get(ApiView::Requests),
            "logs" => ApiCall::Get(ApiView::Logs),
            "stream" => ApiCall::Get(ApiView::Stream),
            _ => return None,
        })
    }

    pub fn method(self) -> Method {
        match self {
            ApiCall::Code | ApiCall::Do | ApiCall::Action | ApiCall::StopAction => Method::POST,
            ApiCall::Get(_) => Method::GET,
        }
    }
}

/// A code that a browser exchanges for the token.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct CodeBody {
    pub code: String,
}

/// What to do with a stack.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ActBody {
    stack: String,
    what: ActVerb,
    #[serde(default)]
    services: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ActVerb {
    Start,
    Stop,
    Restart,
    Debug,
    Undebug,
    Down,
}

/// Which action to run.
#[derive(Debug, Deserialize)]
pub(super) struct ActionBody {
    stack: String,
    service: String,
    action: String,
    #[serde(default)]
    args: Vec<String>,
}

/// Runs an action and sends what it prints. It goes on when the browser leaves.
pub(super) async fn run_action(
    body: ActionBody,
    place: StreamPlace,
) -> Result<DashboardResponse, DashboardError> {
    let client = stack_list::client(&body.stack)?;
    let ActionBody { service, action, args, .. } = body;
    let request = ActionRequest { service, action, args, detach: true };
    let updates = client.run_action(&request).await?;
    Ok(reply::lines(tab_stream::action(updates, place)))
}

/// Which running action to end.
#[derive(Debug, Deserialize)]
pub(super) struct StopActionBody {
    stack: String,
    #[serde(flatten)]
    stop: ActionStop,
}

/// Asks an action to end. The client that runs it learns when it has.
pub(super) async fn stop_action(body: StopActionBody) -> Result<DashboardResponse, DashboardError> {
    let text = stack_list::client(&body.stack)?.stop_action(&body.stop).await?;
    Ok(reply::json(StatusCode::OK, &json!({ "text": text, "done": true })))
}

/// Acts on a stack. What takes longer goes on.
pub(super) async fn act(body: ActBody) -> Result<DashboardResponse, DashboardError> {
    let client = stack_list::client(&body.stack)?;
    if body.services.is_empty() != (body.what == ActVerb::Down) {
        let text = "name services, except with `down`";
        return Err(DashboardError::usage(StatusCode::BAD_REQUEST, text));
    }
    let acting = tokio::spawn(async move {
        match body.what {
            ActVerb::Start => client.start(&body.services).await,
            ActVerb::Stop => client.stop(&body.services).await,
            ActVerb::Restart => client.restart(&body.services).await,
            ActVerb::Debug => client.debug(&body.services).await,
            ActVerb::Undebug => client.undebug(&body.services).await,
            ActVerb::Down => client.down().await,
        }
    });
    match timeout(ACTION_TIME, acting).await {
        Ok(Ok(Ok(text))) => Ok(reply::json(StatusCode::OK, &json!({ "text": text, "done": true }))),
        Ok(Ok(Err(error))) => Err(error.into()),
        Ok(Err(_)) => {
            Err(DashboardError::usage(StatusCode::INTERNAL_SERVER_ERROR, "the action failed"))
        }
        Err(_) => {
            Ok(reply::json(StatusCode::ACCEPTED, &json!({ "text": "requested", "done": false })))
        }
    }
}

/// Returns what a tab asks for.
pub(super) async fn get(
    what: ApiView,
    query: &str,
    runtime: &Path,
    place: impl FnOnce() -> Result<StreamPlace, DashboardError>,
) -> Result<DashboardResponse, DashboardError> {
    let query = ApiQuery::parse(query)?;
    match what {
        ApiView::Stacks => return Ok(ok(&json!({ "stacks": stack_list::all() }))),
        ApiView::Stream => {
            let stack = query.stack().ok().map(str::to_owned);
            return Ok(reply::lines(tab_stream::follow(
                TabQuery { stack, lines: query.lines(), once: query.once },
                place()?,
            )));
        }
        _ => {}
    }
    let client = stack_list::client(query.stack()?)?;
    match what {
        ApiView::Stacks | ApiView::Stream => unreachable!("answered above"),
        ApiView::Stack => Ok(reply::json_bytes(StatusCode::OK, client.stack_json().await?)),
        ApiView::Why => {
            let why = client.why_json(query.service()?).await?;
            Ok(reply::json_bytes(StatusCode::OK, why))
        }
        ApiView::Env => {
            let view = client.env(query.service()?).await?;
            Ok(ok(&hidden_env(&view, query.reveal.as_deref())))
        }
        ApiView::Ports => Ok(ok(&ports(client.stack().await?).await?)),
        ApiView::Runs => Ok(ok(&json!({ "runs": service_runs(&client).await? }))),
        ApiView::Requests => Ok(ok(&requests(&client, runtime, query.after).await?)),
        ApiView::Logs => {
            let services = query.services()?;
            let (since, most) = (query.since, query.lines());
            let grep: Vec<_> = query.grep.iter().cloned().collect();
            let last = since.is_none().then_some(most);
            let wanted = LogQuery {
                services,
                last,
                since,
                grep,
                status_mode: StatusMode::With,
                ..LogQuery::default()
            };
            let lines = client.logs(&wanted).await?;
            Ok(reply::lines(tab_stream::found(lines, most, place()?)))
        }
    }
}

async fn ports(snapshot: Snapshot) -> Result<Value, DashboardError> {
    // It reads much of /proc.
    let rows = tokio::task::spawn_blocking(move || report::port_rows(&snapshot)).await;
    let rows = rows
        .map_err(|error| DashboardError::internal("read ports", &std::io::Error::other(error)))?;
    let with_text = rows.iter().map(|row| {
        let text =
            |holder: &Option<_>| holder.as_ref().map(|it| explain_held(std::slice::from_ref(it)));
        json!({ "row": row, "held": text(&row.holder), "wanted_held": text(&row.wanted_holder) })
    });
    Ok(json!({ "ports": with_text.collect::<Vec<_>>() }))
}

/// Returns the latest requests that have gone through the front door, without secrets and bodies.
async fn requests(
    client: &ControlClient,
    runtime: &Path,
    after: u64,
) -> Result<Value, RequestsError> {
    let none = |why: &str| Ok(json!({ "requests": [], "none": why }));
    let Some(proxy) = client.stack().await?.proxy else {
        return none("the services of this stack have no names, so no requests are recorded");
    };
    if !proxy.requests {
        return none(
            "requests to this stack are not recorded: `requests = false` in [stack.proxy]",
        );
    }
    let query = ExchangeQuery { domain: proxy.domain, id: None, bodies: false, follow: false };
    let socket = DoorFiles::below(runtime).socket();
    let Some(mut reader) = ExchangeReader::ask(&socket, query).await? else {
        return none("the front door is not running");
    };
    let mut records = Vec::new();
    loop {
        match reader.next().await? {
            ExchangeFeed::Exchange { mut record } if record.id > after => {
                record.hide_secrets();
                records.push(record);
            }
            ExchangeFeed::Exchange { .. }
            | ExchangeFeed::Missed { .. }
            | ExchangeFeed::UpToDate => {}
            ExchangeFeed::NotRecorded => return none("no service with a name has been ready yet"),
            ExchangeFeed::End => break,
        }
    }
    records.drain(..records.len().saturating_sub(MAX_EXCHANGES));
    Ok(json!({ "requests": records }))
}

/// The stack or the front door has not answered.
enum RequestsError {
    Client(ClientError),
    Door(std::io::Error),
}

impl From<ClientError> for RequestsError {
    fn from(error: ClientError) -> RequestsError {
        RequestsError::Client(error)
    }
}

impl From<std::io::Error> for RequestsError {
    fn from(error: std::io::Error) -> RequestsError {
        RequestsError::Door(error)
    }
}

impl From<RequestsError> for DashboardError {
    fn from(error: RequestsError) -> DashboardError {
        match error {
            RequestsError::Client(error) => error.into(),
            RequestsError::Door(error) => DashboardError::internal("ask the front door", &error),
        }
    }
}

fn ok(value: &impl Serialize) -> DashboardResponse {
    reply::json(StatusCode::OK, value)
}
