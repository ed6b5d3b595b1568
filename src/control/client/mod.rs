mod action_stream;
mod attach;
mod connection;
mod error;
mod lines;
mod wait_stream;

pub use action_stream::ActionStream;
pub use attach::{AttachConnection, AttachMessage, AttachReader, AttachWriter};
pub use error::ClientError;
pub use lines::LineStream;
pub use wait_stream::{WaitStream, WaitUpdate};

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use hyper::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use super::protocol::{
    AttachQuery, QueryParams, ServicesRequest, TextResponse, UPGRADE, WaitRequest,
};
use super::{ChangesView, InstanceLock, LogQuery, RunningInstance, VersionResponse};
use crate::model::{
    ActionRequest, ActionStop, CursorText, EnvView, Message, MessageClass, Name, PlanView,
    Snapshot, WaitCondition, WhyView,
};
use connection::{ControlConnection, check_protocol, read_body};

/// Time limit for what a healthy devstack answers without waiting for anything.
const REQUEST_TIMEOUT: Duration = Duration::from_millis(1_800);
/// Delay between attempts to connect to a devstack that is starting.
const CONNECT_PAUSE: Duration = Duration::from_millis(20);
/// How long a devstack may take to exit after it has reported that everything is stopped.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// Talks to the devstack of a directory, with one connection per request.
#[derive(Debug, Clone)]
pub struct ControlClient {
    socket: PathBuf,
    found: Option<RunningInstance>,
}

impl ControlClient {
    /// Returns a client for the devstack in or above `start_dir`, see [`InstanceLock::find`].
    pub fn here(start_dir: &Path) -> Result<ControlClient, ClientError> {
        InstanceLock::find(start_dir).map(ControlClient::of).ok_or_else(ClientError::not_running)
    }

    /// Returns a client for the given devstack.
    pub fn of(found: RunningInstance) -> ControlClient {
        ControlClient { socket: found.socket.clone(), found: Some(found) }
    }

    /// Returns a client for any server that listens on `socket`.
    pub fn at(socket: &Path) -> ControlClient {
        ControlClient { socket: socket.to_owned(), found: None }
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Fetches a snapshot with CPU and memory, unparsed: fields unknown to this version are kept.
    pub async fn stack_json(&self) -> Result<Bytes, ClientError> {
        self.get("/v1/stack").await
    }

    /// Fetches a snapshot without CPU and memory.
    pub async fn stack(&self) -> Result<Snapshot, ClientError> {
        parse(&self.get("/v1/stack?usage=false").await?)
    }

    /// Fetches a snapshot with each service's CPU and memory.
    pub async fn stack_with_usage(&self) -> Result<Snapshot, ClientError> {
        parse(&self.stack_json().await?)
    }

    /// Fetches what the configuration files would change, unparsed.
    pub async fn plan_json(&self) -> Result<Bytes, ClientError> {
        self.get("/v1/plan").await
    }

    /// Fetches what the configuration files would change.
    pub async fn plan(&self) -> Result<PlanView, ClientError> {
        parse(&self.plan_json().await?)
    }

    /// Fetches the explanation of a service's state, unparsed.
    pub async fn why_json(&self, service: &str) -> Result<Bytes, ClientError> {
        self.get(&QueryParams::default().with("service", service).of("/v1/why")).await
    }

    /// Fetches the explanation of a service's state.
    pub async fn why(&self, service: &str) -> Result<WhyView, ClientError> {
        parse(&self.why_json(service).await?)
    }

    /// Fetches the environment of a service.
    pub async fn env(&self, service: &str) -> Result<EnvView, ClientError> {
        let path = QueryParams::default().with("service", service).of("/v1/env");
        parse(&self.get(&path).await?)
    }

    /// Fetches the version of the running devstack.
    pub async fn version(&self) -> Result<VersionResponse, ClientError> {
        parse(&self.get("/v1/version").await?)
    }

    /// Starts services with their dependencies. Returns when they run.
    pub async fn start(&self, names: &[String]) -> Result<String, ClientError> {
        self.post("/v1/start", names).await
    }

    /// Stops services. Returns when they have stopped.
    pub async fn stop(&self, names: &[String]) -> Result<String, ClientError> {
        self.post("/v1/stop", names).await
    }

    /// Restarts or starts services. Returns when they run.
    pub async fn restart(&self, names: &[String]) -> Result<String, ClientError> {
        self.post("/v1/restart", names).await
    }

    /// Lets a service start that is asleep. Returns at once.
    pub async fn wake(&self, name: &Name) -> Result<String, ClientError> {
        self.with_timeout(self.post("/v1/wake", &[name.to_string()])).await
    }

    /// Starts or restarts services in debug mode. Returns when a debugger can attach.
    pub async fn debug(&self, names: &[String]) -> Result<String, ClientError> {
        self.post("/v1/debug", names).await
    }

    /// Restarts services that are in debug mode in run mode. Returns when they run.
    pub async fn undebug(&self, names: &[String]) -> Result<String, ClientError> {
        self.post("/v1/undebug", names).await
    }

    /// Waits for services, or all requested ones. The stream ends with an error once the condition
    /// cannot become true. All of it takes one connection.
    pub async fn wait(
        &self,
        names: &[String],
        what: WaitCondition,
    ) -> Result<WaitStream, ClientError> {
        let mut connection = self.connect_compatible().await?;
        let request = WaitRequest { services: names.to_vec(), what, progress: true };
        Ok(WaitStream::new(async move {
            let answer = connection.send(Method::POST, "/v1/wait", encode(&request)).await?;
            LineStream::of(answer).await
        }))
    }

    /// Runs an action of a service.
    ///
    /// # Errors
    /// The service or action is unknown, or the action cannot run now.
    pub async fn run_action(&self, request: &ActionRequest) -> Result<ActionStream, ClientError> {
        let mut connection = self.connect_compatible().await?;
        let answer = connection.send(Method::POST, "/v1/do", encode(request)).await?;
        Ok(ActionStream::new(LineStream::of(answer).await?))
    }

    /// Asks an action to end where it runs. Returns at once.
    ///
    /// # Errors
    /// It does not run.
    pub async fn stop_action(&self, stop: &ActionStop) -> Result<String, ClientError> {
        self.post_body("/v1/do/stop", encode(stop)).await
    }

    /// Stops everything. Returns when the devstack has exited, so that the next one can start.
    /// Works with every protocol version.
    pub async fn down(&self) -> Result<String, ClientError> {
        // A devstack that does not report its version would not stop either. Any version will do.
        if let Err(
            failure @ (ClientError::Busy(_) | ClientError::Denied(_) | ClientError::NotRunning(_)),
        ) = self.version().await
        {
            return Err(failure);
        }
        let mut connection = self.connect().await?;
        let answer = match connection.send(Method::POST, "/v1/down", Vec::new()).await {
            Ok(answer) => read_body(answer).await,
            Err(failure) => Err(failure),
        };
        match answer {
            Ok(_) if !self.ended().await => Err(self.still_running_error()),
            Ok(body) => Ok(serde_json::from_slice(&body)
                .map_or("stopped".to_owned(), |TextResponse { text }| text)),
            // Something of it cannot be stopped, so it exits without that.
            Err(failure @ ClientError::Refused(_)) => {
                self.ended().await;
                Err(failure)
            }
            // It exited without an answer, for instance after a second Ctrl-C, so it is stopped.
            Err(ClientError::NotRunning(_)) if self.ended().await => {
                Ok("the stack has stopped".to_owned())
            }
            Err(failure) => Err(failure),
        }
    }

    pub async fn logs(&self, query: &LogQuery) -> Result<LineStream, ClientError> {
        self.follow(&format!("/v1/logs?{}", query.to_text())).await
    }

    /// Reads events: first a snapshot, then each event.
    pub async fn events(&self) -> Result<LineStream, ClientError> {
        self.follow("/v1/events").await
    }

    /// Fetches what has happened since a cursor, or everything that is kept; unparsed.
    pub async fn changes_json(&self, since: Option<&CursorText>) -> Result<Bytes, ClientError> {
        let params = QueryParams::default();
        let params = match since {
            Some(since) => params.with("since", since),
            None => params,
        };
        self.get(&params.of("/v1/changes")).await
    }

    /// Fetches what has happened since a cursor, or everything that is kept.
    pub async fn changes(&self, since: Option<&CursorText>) -> Result<ChangesView, ClientError> {
        parse(&self.changes_json(since).await?)
    }

    async fn follow(&self, path: &str) -> Result<LineStream, ClientError> {
        let answer = self.with_timeout(async {
            self.connect_retry().await?.send(Method::GET, path, Vec::new()).await
        });
        LineStream::of(answer.await?).await
    }

    /// Attaches to the terminal of a service.
    pub async fn attach(&self, query: &AttachQuery) -> Result<AttachConnection, ClientError> {
        let path = format!("/v1/attach?{}", query.to_text());
        let mut connection = self.connect().await?;
        self.with_timeout(async {
            let answer = connection.upgrade(&path, UPGRADE).await?;
            check_protocol(&answer)?;
            if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
                return AttachConnection::of(answer).await;
            }
            read_body(answer).await?;
            Err(ClientError::unreadable_response("unexpected status"))
        })
        .await
    }

    async fn get(&self, path: &str) -> Result<Bytes, ClientError> {
        // One limit for connecting and responding: the result is known within two seconds.
        self.with_timeout(async {
            let mut connection = self.connect_retry().await?;
            let answer = connection.send(Method::GET, path, Vec::new()).await?;
            check_protocol(&answer)?;
            read_body(answer).await
        })
        .await
    }

    async fn post(&self, path: &str, names: &[String]) -> Result<String, ClientError> {
        self.post_body(path, encode(&ServicesRequest { services: names.to_vec() })).await
    }

    async fn post_body(&self, path: &str, body: Vec<u8>) -> Result<String, ClientError> {
        let mut connection = self.connect_compatible().await?;
        let answer = connection.send(Method::POST, path, body).await?;
        check_protocol(&answer)?;
        let reported: TextResponse = parse(&read_body(answer).await?)?;
        Ok(reported.text)
    }

    /// Connects to a compatible devstack. That is known at once; a later response may take long.
    async fn connect_compatible(&self) -> Result<ControlConnection, ClientError> {
        self.with_timeout(async {
            let mut connection = self.connect_retry().await?;
            let answer = connection.send(Method::GET, "/v1/version", Vec::new()).await?;
            check_protocol(&answer)?;
            read_body(answer).await?;
            Ok(connection)
        })
        .await
    }

    /// Waits until the devstack listens, however long its start takes.
    ///
    /// # Errors
    /// It exited first.
    pub async fn reachable(&self) -> Result<(), ClientError> {
        self.connect_retry().await.map(drop)
    }

    async fn connect(&self) -> Result<ControlConnection, ClientError> {
        self.with_timeout(self.connect_retry()).await
    }

    /// Connects without a time limit, retrying while a devstack holds the lock without a socket.
    async fn connect_retry(&self) -> Result<ControlConnection, ClientError> {
        loop {
            let error = match ControlConnection::open(&self.socket).await {
                Ok(connection) => return Ok(connection),
                Err(error) => error,
            };
            match error.kind() {
                io::ErrorKind::PermissionDenied => return Err(self.denied()),
                io::ErrorKind::NotFound
                | io::ErrorKind::ConnectionRefused
                | io::ErrorKind::WouldBlock => {}
                _ => return Err(ClientError::unreadable_response(error)),
            }
            if !self.found.as_ref().is_some_and(RunningInstance::is_running) {
                return Err(ClientError::not_running());
            }
            tokio::time::sleep(CONNECT_PAUSE).await;
        }
    }

    fn still_running_error(&self) -> ClientError {
        let pid = self.pid();
        let who = pid.map_or(String::new(), |pid| format!(" (pid {pid})"));
        let text =
            format!("stack stopped, but devstack{who} is still running after {SHUTDOWN_TIMEOUT:?}");
        let help = pid.map_or(String::new(), |pid| format!("kill it with `kill -9 {pid}`"));
        ClientError::Busy(Message::new(MessageClass::Busy, text).help(help))
    }

    fn denied(&self) -> ClientError {
        let text = format!("permission denied for the control socket {}", self.socket.display());
        ClientError::Denied(
            Message::new(MessageClass::Denied, text)
                .help("run this as the user who started the stack"),
        )
    }

    /// Limits the time of something that a healthy devstack does at once.
    async fn with_timeout<T>(
        &self,
        what: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, ClientError> {
        let result = tokio::time::timeout(REQUEST_TIMEOUT, what).await;
        result.unwrap_or_else(|_| Err(self.timeout_error()))
    }

    fn timeout_error(&self) -> ClientError {
        let (who, help) = match self.pid() {
            Some(pid) => (
                format!(" (pid {pid})"),
                format!("run `kill -CONT {pid}` if it is suspended, or `kill {pid}` to stop it"),
            ),
            None => Default::default(),
        };
        let text = format!("devstack{who} did not respond within {REQUEST_TIMEOUT:?}");
        ClientError::Busy(Message::new(MessageClass::Busy, text).help(help))
    }

    fn pid(&self) -> Option<u32> {
        self.found.as_ref()?.holder.as_ref().map(|holder| holder.pid)
    }

    /// Returns whether the devstack exits in time. True at once for a client from a socket path,
    /// which has no lock to wait for.
    async fn ended(&self) -> bool {
        let Some(found) = self.found.clone() else { return true };
        let (tell, ended) = oneshot::channel();
        // A lock can only be waited for by blocking; a pool thread would delay the runtime's
        // shutdown.
        let wait = move || {
            let _ = tell.send(found.wait_until_ended().is_ok());
        };
        // If the thread cannot start, the channel closes and the exit counts as unknown.
        let _ = std::thread::Builder::new().spawn(wait);
        matches!(tokio::time::timeout(SHUTDOWN_TIMEOUT, ended).await, Ok(Ok(true)))
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ClientError> {
    serde_json::from_slice(body).map_err(ClientError::unreadable_response)
}

fn encode(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).expect("request bodies serialize to JSON")
}
