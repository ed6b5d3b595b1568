use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use hyper::{Method, StatusCode};
use serde::Serialize;
use tokio::sync::oneshot;

use super::attach::{self, AttachQuery, Attachment};
use super::connection::{Connection, same_protocol, soon, whole};
use super::protocol::{Awaited, Services, Told};
use super::service_query;
use super::{Failure, Found, Instance, Lines, LogQuery, Version, WaitFor};
use crate::model::{EnvView, Message, MessageClass, PlanView, Snapshot, WhyView};

/// Time limit for what a healthy devstack answers without waiting for anything.
const PATIENCE: Duration = Duration::from_millis(1_800);
/// Delay between attempts to connect to a devstack that is starting.
const CONNECT_PAUSE: Duration = Duration::from_millis(20);
/// How long a devstack may take to exit after it has reported that everything is stopped.
const END_PATIENCE: Duration = Duration::from_secs(10);

/// Talks to the devstack of a directory, with one connection per request.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
    found: Option<Found>,
}

impl Client {
    /// Returns a client for the devstack in or above `start_dir`, see [`InstanceLock::find`].
    pub fn here(start_dir: &Path) -> Result<Client, Failure> {
        Instance::find(start_dir).map(Client::of).ok_or_else(Failure::not_running)
    }

    /// Returns a client for the given devstack.
    pub fn of(found: Found) -> Client {
        Client { socket: found.socket.clone(), found: Some(found) }
    }

    /// Returns a client for any server that listens on `socket`.
    pub fn at(socket: &Path) -> Client {
        Client { socket: socket.to_owned(), found: None }
    }

    /// Fetches a snapshot with CPU and memory, unparsed: fields unknown to this version are kept.
    pub async fn stack_json(&self) -> Result<Bytes, Failure> {
        self.get("/v1/stack").await
    }

    /// Fetches a snapshot without CPU and memory.
    pub async fn stack(&self) -> Result<Snapshot, Failure> {
        let sent = self.get("/v1/stack?usage=false").await?;
        serde_json::from_slice(&sent).map_err(Failure::garbled)
    }

    /// Fetches a snapshot with each service's CPU and memory.
    pub async fn stack_with_usage(&self) -> Result<Snapshot, Failure> {
        serde_json::from_slice(&self.stack_json().await?).map_err(Failure::garbled)
    }

    /// Fetches what the configuration files would change, unparsed.
    pub async fn plan_json(&self) -> Result<Bytes, Failure> {
        self.get("/v1/plan").await
    }

    /// Fetches what the configuration files would change.
    pub async fn plan(&self) -> Result<PlanView, Failure> {
        serde_json::from_slice(&self.plan_json().await?).map_err(Failure::garbled)
    }

    /// Fetches the explanation of a service's state, unparsed.
    pub async fn why_json(&self, service: &str) -> Result<Bytes, Failure> {
        self.get(&service_query::path("/v1/why", service)).await
    }

    /// Fetches the explanation of a service's state.
    pub async fn why(&self, service: &str) -> Result<WhyView, Failure> {
        serde_json::from_slice(&self.why_json(service).await?).map_err(Failure::garbled)
    }

    /// Fetches the environment of a service.
    pub async fn env(&self, service: &str) -> Result<EnvView, Failure> {
        let sent = self.get(&service_query::path("/v1/env", service)).await?;
        serde_json::from_slice(&sent).map_err(Failure::garbled)
    }

    /// Fetches the version of the running devstack.
    pub async fn version(&self) -> Result<Version, Failure> {
        serde_json::from_slice(&self.get("/v1/version").await?).map_err(Failure::garbled)
    }

    /// Starts services with their dependencies. Returns when they run.
    pub async fn start(&self, names: &[String]) -> Result<String, Failure> {
        self.ask("/v1/start", names).await
    }

    /// Stops services. Returns when they have stopped.
    pub async fn stop(&self, names: &[String]) -> Result<String, Failure> {
        self.ask("/v1/stop", names).await
    }

    /// Restarts or starts services. Returns when they run.
    pub async fn restart(&self, names: &[String]) -> Result<String, Failure> {
        self.ask("/v1/restart", names).await
    }

    /// Starts or restarts services in debug mode. Returns when a debugger can attach.
    pub async fn debug(&self, names: &[String]) -> Result<String, Failure> {
        self.ask("/v1/debug", names).await
    }

    /// Restarts services that are in debug mode in run mode. Returns when they run.
    pub async fn undebug(&self, names: &[String]) -> Result<String, Failure> {
        self.ask("/v1/undebug", names).await
    }

    /// Waits for services, or all requested ones. Fails once the condition cannot become true.
    pub async fn wait(&self, names: &[String], what: Option<WaitFor>) -> Result<String, Failure> {
        self.order("/v1/wait", &Awaited { services: names.to_vec(), what }).await
    }

    /// Stops everything. Returns when the devstack has exited, so that the next one can start.
    /// Works with every protocol version.
    pub async fn down(&self) -> Result<String, Failure> {
        // A devstack that does not report its version would not stop either. Any version will do.
        if let Err(failure @ (Failure::Busy(_) | Failure::Denied(_) | Failure::NotRunning(_))) =
            self.version().await
        {
            return Err(failure);
        }
        let mut connection = self.connect().await?;
        let answer = match connection.send(Method::POST, "/v1/down", Vec::new()).await {
            Ok(answer) => whole(answer).await,
            Err(failure) => Err(failure),
        };
        match answer {
            Ok(_) if !self.ended().await => Err(self.lingers()),
            Ok(body) => {
                Ok(serde_json::from_slice(&body).map_or("stopped".to_owned(), |Told { text }| text))
            }
            // It exited without an answer, for instance after a second Ctrl-C, so it is stopped.
            Err(Failure::NotRunning(_)) if self.ended().await => {
                Ok("the stack has stopped".to_owned())
            }
            Err(failure) => Err(failure),
        }
    }

    /// Reads lines of the log.
    pub async fn logs(&self, query: &LogQuery) -> Result<Lines, Failure> {
        self.follow(&format!("/v1/logs?{}", query.to_text())).await
    }

    /// Reads events: first a snapshot, then each event.
    pub async fn events(&self) -> Result<Lines, Failure> {
        self.follow("/v1/events").await
    }

    async fn follow(&self, path: &str) -> Result<Lines, Failure> {
        let answer =
            self.soon(async { self.knock().await?.send(Method::GET, path, Vec::new()).await });
        let answer = answer.await?;
        same_protocol(&answer)?;
        if answer.status().is_success() {
            return Ok(Lines::new(answer.into_body()));
        }
        whole(answer).await?;
        Err(Failure::garbled("unexpected status"))
    }

    /// Attaches to the terminal of a service.
    pub async fn attach(&self, query: &AttachQuery) -> Result<Attachment, Failure> {
        let path = format!("/v1/attach?{}", query.to_text());
        let mut connection = self.connect().await?;
        self.soon(async {
            let answer = connection.upgrade(&path, attach::UPGRADE).await?;
            same_protocol(&answer)?;
            if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
                return Attachment::of(answer).await;
            }
            whole(answer).await?;
            Err(Failure::garbled("unexpected status"))
        })
        .await
    }

    async fn get(&self, path: &str) -> Result<Bytes, Failure> {
        // One limit for connecting and responding: the result is known within two seconds.
        self.soon(async {
            let mut connection = self.knock().await?;
            let answer = connection.send(Method::GET, path, Vec::new()).await?;
            same_protocol(&answer)?;
            whole(answer).await
        })
        .await
    }

    async fn ask(&self, path: &str, names: &[String]) -> Result<String, Failure> {
        self.order(path, &Services { services: names.to_vec() }).await
    }

    async fn order(&self, path: &str, body: &impl Serialize) -> Result<String, Failure> {
        // Whether a compatible devstack listens is known at once; the response itself may take
        // long.
        self.version().await?;
        let body = serde_json::to_vec(body).expect("request bodies serialize to JSON");
        let mut connection = self.connect().await?;
        let answer = connection.send(Method::POST, path, body).await?;
        same_protocol(&answer)?;
        let told: Told = serde_json::from_slice(&whole(answer).await?).map_err(Failure::garbled)?;
        Ok(told.text)
    }

    async fn connect(&self) -> Result<Connection, Failure> {
        self.soon(self.knock()).await
    }

    /// Connects without a time limit, retrying while a devstack holds the lock without a socket.
    async fn knock(&self) -> Result<Connection, Failure> {
        loop {
            let error = match Connection::open(&self.socket).await {
                Ok(connection) => return Ok(connection),
                Err(error) => error,
            };
            match error.kind() {
                io::ErrorKind::PermissionDenied => return Err(self.denied()),
                io::ErrorKind::NotFound
                | io::ErrorKind::ConnectionRefused
                | io::ErrorKind::WouldBlock => {}
                _ => return Err(Failure::garbled(error)),
            }
            if !self.found.as_ref().is_some_and(Found::is_running) {
                return Err(Failure::not_running());
            }
            tokio::time::sleep(CONNECT_PAUSE).await;
        }
    }

    fn lingers(&self) -> Failure {
        let pid = self.found.as_ref().and_then(|found| found.holder.as_ref()).map(|one| one.pid);
        let who = pid.map_or(String::new(), |pid| format!(" (pid {pid})"));
        let text =
            format!("stack stopped, but devstack{who} is still running after {END_PATIENCE:?}");
        let help = pid.map_or(String::new(), |pid| format!("kill it with `kill -9 {pid}`"));
        Failure::Busy(Message::new(MessageClass::Busy, text).help(help))
    }

    fn denied(&self) -> Failure {
        let text = format!("permission denied for the control socket {}", self.socket.display());
        Failure::Denied(
            Message::new(MessageClass::Denied, text)
                .help("run this as the user who started the stack"),
        )
    }

    async fn soon<T>(&self, what: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let holder = self.found.as_ref().and_then(|found| found.holder.as_ref());
        soon(PATIENCE, holder.map(|holder| holder.pid), what).await
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
        matches!(tokio::time::timeout(END_PATIENCE, ended).await, Ok(Ok(true)))
    }
}
