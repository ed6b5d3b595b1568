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
use crate::model::{Class, EnvView, Message, PlanView, Snapshot, Why};

/// How long a devstack that is well may take for what it knows without asking anybody.
const PATIENCE: Duration = Duration::from_millis(1_800);
/// Between two attempts to connect to a devstack that is just starting.
const CONNECT_PAUSE: Duration = Duration::from_millis(20);
/// How long a devstack may take to be gone after it has said that everything is stopped.
const END_PATIENCE: Duration = Duration::from_secs(10);

/// Talks to the devstack of a folder. Each question has its own connection.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
    found: Option<Found>,
}

impl Client {
    /// A client of the devstack that runs in `start_dir` or above it, see [`Instance::find`].
    pub fn here(start_dir: &Path) -> Result<Client, Failure> {
        Instance::find(start_dir).map(Client::of).ok_or_else(Failure::not_running)
    }

    /// A client of a devstack that was found.
    pub fn of(found: Found) -> Client {
        Client { socket: found.socket.clone(), found: Some(found) }
    }

    /// A client of whoever listens on `socket`.
    pub fn at(socket: &Path) -> Client {
        Client { socket: socket.to_owned(), found: None }
    }

    /// What is now with CPU and memory, as it was sent: fields that this version does not know are kept.
    pub async fn stack_json(&self) -> Result<Bytes, Failure> {
        self.get("/v1/stack").await
    }

    /// What is now, without CPU and memory.
    pub async fn stack(&self) -> Result<Snapshot, Failure> {
        let sent = self.get("/v1/stack?usage=false").await?;
        serde_json::from_slice(&sent).map_err(Failure::garbled)
    }

    /// What is now, with the CPU and memory that each service uses.
    pub async fn stack_with_usage(&self) -> Result<Snapshot, Failure> {
        serde_json::from_slice(&self.stack_json().await?).map_err(Failure::garbled)
    }

    /// What the configuration files would change, as it was sent.
    pub async fn plan_json(&self) -> Result<Bytes, Failure> {
        self.get("/v1/plan").await
    }

    /// What the configuration files would change.
    pub async fn plan(&self) -> Result<PlanView, Failure> {
        serde_json::from_slice(&self.plan_json().await?).map_err(Failure::garbled)
    }

    /// Why a service is as it is, as it was sent.
    pub async fn why_json(&self, service: &str) -> Result<Bytes, Failure> {
        self.get(&service_query::path("/v1/why", service)).await
    }

    /// Why a service is as it is.
    pub async fn why(&self, service: &str) -> Result<Why, Failure> {
        serde_json::from_slice(&self.why_json(service).await?).map_err(Failure::garbled)
    }

    /// The environment of a service.
    pub async fn env(&self, service: &str) -> Result<EnvView, Failure> {
        let sent = self.get(&service_query::path("/v1/env", service)).await?;
        serde_json::from_slice(&sent).map_err(Failure::garbled)
    }

    /// Who answers.
    pub async fn version(&self) -> Result<Version, Failure> {
        serde_json::from_slice(&self.get("/v1/version").await?).map_err(Failure::garbled)
    }

    /// Starts services with what they depend on. Answers when they run.
    pub async fn start(&self, names: &[String]) -> Result<String, Failure> {
        self.ask("/v1/start", names).await
    }

    /// Stops services. Answers when they have stopped.
    pub async fn stop(&self, names: &[String]) -> Result<String, Failure> {
        self.ask("/v1/stop", names).await
    }

    /// Stops services that run, and starts them. Answers when they run.
    pub async fn restart(&self, names: &[String]) -> Result<String, Failure> {
        self.ask("/v1/restart", names).await
    }

    /// Restarts services in debug mode, and starts those that do not run. Answers when a debugger can attach.
    pub async fn debug(&self, names: &[String]) -> Result<String, Failure> {
        self.ask("/v1/debug", names).await
    }

    /// Restarts services that are in debug mode in run mode. Answers when they run.
    pub async fn undebug(&self, names: &[String]) -> Result<String, Failure> {
        self.ask("/v1/undebug", names).await
    }

    /// Waits for services, or for all that are asked for. Answers when it is so; a failure when it will not be.
    pub async fn wait(&self, names: &[String], what: Option<WaitFor>) -> Result<String, Failure> {
        self.order("/v1/wait", &Awaited { services: names.to_vec(), what }).await
    }

    /// Stops everything. Answers when the devstack is gone, so that the next one can start. Works
    /// with every protocol version.
    pub async fn down(&self) -> Result<String, Failure> {
        // One that does not even say its version will not stop either; any version will do.
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
            // It went without a word, for instance because somebody pressed Ctrl-C twice: what
            // was asked is so.
            Err(Failure::NotRunning(_)) if self.ended().await => {
                Ok("the stack has ended".to_owned())
            }
            Err(failure) => Err(failure),
        }
    }

    /// The lines of the log.
    pub async fn logs(&self, query: &LogQuery) -> Result<Lines, Failure> {
        self.follow(&format!("/v1/logs?{}", query.to_text())).await
    }

    /// What happens: a snapshot, then events.
    pub async fn events(&self) -> Result<Lines, Failure> {
        self.follow("/v1/events").await
    }

    /// An answer that goes on.
    async fn follow(&self, path: &str) -> Result<Lines, Failure> {
        let answer =
            self.soon(async { self.knock().await?.send(Method::GET, path, Vec::new()).await });
        let answer = answer.await?;
        same_protocol(&answer)?;
        if answer.status().is_success() {
            return Ok(Lines::new(answer.into_body()));
        }
        whole(answer).await?;
        Err(Failure::garbled("neither yes nor no"))
    }

    /// The terminal of a service.
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
            Err(Failure::garbled("neither yes nor no"))
        })
        .await
    }

    async fn get(&self, path: &str) -> Result<Bytes, Failure> {
        // One bound for both: the answer, or that there is none, comes within two seconds.
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
        // The answer may take as long as a service takes; whether anybody listens and understands
        // is known at once.
        self.version().await?;
        let body = serde_json::to_vec(body).expect("lists of texts are plain data");
        let mut connection = self.connect().await?;
        let answer = connection.send(Method::POST, path, body).await?;
        same_protocol(&answer)?;
        let told: Told = serde_json::from_slice(&whole(answer).await?).map_err(Failure::garbled)?;
        Ok(told.text)
    }

    /// Connects; bounded.
    async fn connect(&self) -> Result<Connection, Failure> {
        self.soon(self.knock()).await
    }

    /// Connects, also to a devstack that holds its folder and has no socket yet, however long that takes.
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

    /// Everything is stopped, and still the devstack is there.
    fn lingers(&self) -> Failure {
        let pid = self.found.as_ref().and_then(|found| found.holder.as_ref()).map(|one| one.pid);
        let who = pid.map_or(String::new(), |pid| format!(" (pid {pid})"));
        let text = format!(
            "the stack is stopped, but its devstack{who} has not ended within {END_PATIENCE:?}"
        );
        let help = pid.map_or(String::new(), |pid| format!("`kill -9 {pid}` ends it"));
        Failure::Busy(Message::new(Class::Busy, text).help(help))
    }

    fn denied(&self) -> Failure {
        let text = format!("not permitted to talk to the stack through {}", self.socket.display());
        Failure::Denied(
            Message::new(Class::Denied, text).help("run this as the user who started it"),
        )
    }

    async fn soon<T>(&self, what: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let holder = self.found.as_ref().and_then(|found| found.holder.as_ref());
        soon(PATIENCE, holder.map(|holder| holder.pid), what).await
    }

    /// Waits until the devstack is gone, and says whether it is. A client that was only given a
    /// socket cannot know.
    async fn ended(&self) -> bool {
        let Some(found) = self.found.clone() else { return true };
        let (tell, ended) = oneshot::channel();
        // A thread of its own: the lock can only be waited for by blocking, and the runtime would
        // wait for a thread of its pool even after the time is up.
        let wait = move || {
            let _ = tell.send(found.wait_until_ended().is_ok());
        };
        // Without a thread nobody tells, and then it is not known to be gone.
        let _ = std::thread::Builder::new().spawn(wait);
        matches!(tokio::time::timeout(END_PATIENCE, ended).await, Ok(Ok(true)))
    }
}
