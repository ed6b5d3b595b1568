//! A client of the engine's API. Few calls, each with a connection of its own, a time limit and a
//! bounded answer.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::engine_error::EngineError;
use super::labels;
use super::reply::{
    ContainerFacts, ContainerReply, ContainerSummary, ErrorReply, NamedReply, NetworkFactsReply,
    StackVolume, SummaryReply, VolumesReply,
};
use crate::encoding::percent_encode;
use crate::model::{ContainerEngine, EngineAddress, Message, Name};

/// How long an answer may take. An engine that is busy with other containers takes a second.
const LIMIT: Duration = Duration::from_secs(10);

/// How long the removal of a container may take.
const REMOVE_LIMIT: Duration = Duration::from_secs(30);

/// How long a container that only stops may take for it.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// How long the first answer may take, with which an engine is found.
const PING_LIMIT: Duration = Duration::from_secs(3);

/// Of an answer, in bytes: a list of thousands of containers.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// An engine that can be asked.
#[derive(Debug, Clone)]
pub struct EngineClient {
    address: EngineAddress,
}

impl EngineClient {
    /// Creates a client. Nothing is connected yet.
    pub fn new(address: EngineAddress) -> EngineClient {
        EngineClient { address }
    }

    /// Returns how the engine is reached.
    pub fn address(&self) -> &EngineAddress {
        &self.address
    }

    /// Explains an error of this engine.
    pub fn message(&self, error: &EngineError) -> Message {
        error.message(self.address.engine)
    }

    /// Asks whether the engine answers.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn ping(&self) -> Result<(), EngineError> {
        self.ask_within(PING_LIMIT, Method::GET, "/_ping", None).await.map(drop)
    }

    /// Whether the engine has an image.
    ///
    /// # Errors
    /// The engine does not answer.
    pub async fn has_image(&self, image: &str) -> Result<bool, EngineError> {
        let path = format!("/images/{}/json", image_path(image));
        let reply = self.ask(Method::GET, &path, None).await;
        found(reply).map(|image| image.is_some())
    }

    /// Looks a container up by its name or ID.
    ///
    /// # Errors
    /// The engine does not answer.
    pub async fn container(&self, id: &str) -> Result<Option<ContainerFacts>, EngineError> {
        let reply = self.get::<ContainerReply>(&format!("/containers/{id}/json")).await;
        found(reply).map(|reply| reply.map(ContainerReply::facts))
    }

    /// Lists the containers with this token, running or not.
    ///
    /// # Errors
    /// The engine does not answer.
    pub async fn containers_of(&self, token: &str) -> Result<Vec<ContainerSummary>, EngineError> {
        self.list(Some(labels::with_token(token)), true).await
    }

    /// Lists the containers of a service with this token, running or not.
    ///
    /// # Errors
    /// The engine does not answer.
    pub async fn containers_of_service(
        &self,
        token: &str,
        service: &Name,
    ) -> Result<Vec<ContainerSummary>, EngineError> {
        self.list(Some(labels::of_service(token, service)), true).await
    }

    /// Lists all containers that run.
    ///
    /// # Errors
    /// The engine does not answer.
    pub async fn running(&self) -> Result<Vec<ContainerSummary>, EngineError> {
        self.list(None, false).await
    }

    async fn list(
        &self,
        filters: Option<String>,
        all: bool,
    ) -> Result<Vec<ContainerSummary>, EngineError> {
        let filters =
            filters.map_or(String::new(), |filters| format!("&filters={}", query_value(&filters)));
        let path = format!("/containers/json?all={all}{filters}");
        let list = self.get::<Vec<SummaryReply>>(&path).await?;
        Ok(list.into_iter().map(SummaryReply::summary).collect())
    }

    /// Asks a container to stop, kills it if it does not, and waits until it has ended. Returns whether
    /// it ran.
    ///
    /// # Errors
    /// The engine does not answer, or cannot stop it.
    pub async fn stop(&self, id: &str) -> Result<bool, EngineError> {
        if !self.container(id).await?.is_some_and(|facts| facts.running) {
            return Ok(false);
        }
        let path = format!("/containers/{id}/stop?t={}", STOP_GRACE.as_secs());
        let stopped = self.ask_within(REMOVE_LIMIT, Method::POST, &path, None).await;
        found(stopped).map(|stopped| stopped.is_some())
    }

    /// Kills and removes a container with its anonymous volumes, and waits until it is gone.
    /// Returns whether there was one.
    ///
    /// # Errors
    /// The engine does not answer, or cannot remove it.
    pub async fn remove(&self, id: &str) -> Result<bool, EngineError> {
        let mut killed = false;
        if self.address.engine == ContainerEngine::Podman {
            // It would first ask the container to stop, for ten seconds.
            let path = format!("/containers/{id}/kill?signal=KILL");
            match self.ask(Method::POST, &path, None).await {
                Err(error) if error.is_missing() => return Ok(false),
                // An error means that it does not run.
                outcome => killed = outcome.is_ok(),
            }
        }
        let path = format!("/containers/{id}?force=true&v=true");
        match self.ask_within(REMOVE_LIMIT, Method::DELETE, &path, None).await {
            Ok(_) => Ok(true),
            // One that a command started with `--rm` is removed by its end.
            Err(error) if error.is_missing() => Ok(killed),
            // It is being removed already.
            Err(EngineError::Refused(409, _)) => self.gone(id).await,
            // Podman says so of a container that is gone meanwhile.
            Err(error) => match self.container(id).await {
                Ok(None) => Ok(true),
                Ok(Some(_)) | Err(_) => Err(error),
            },
        }
    }

    /// Waits until a container that is being removed is gone.
    async fn gone(&self, id: &str) -> Result<bool, EngineError> {
        let path = format!("/containers/{id}/wait?condition=removed");
        match self.ask_within(REMOVE_LIMIT, Method::POST, &path, None).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_missing() => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Creates a network, unless there is one with this name.
    ///
    /// # Errors
    /// The engine does not answer, or refuses.
    pub async fn create_network(
        &self,
        name: &str,
        labels: &BTreeMap<&str, String>,
    ) -> Result<(), EngineError> {
        let body = serde_json::json!({ "Name": name, "CheckDuplicate": true, "Labels": labels });
        match self.ask(Method::POST, "/networks/create", Some(body.to_string())).await {
            Ok(_) => Ok(()),
            // An earlier attempt may have been answered too late.
            Err(error @ EngineError::Refused(409, _)) => {
                let reply = self.get::<NetworkFactsReply>(&format!("/networks/{name}")).await?;
                if reply.has(labels) { Ok(()) } else { Err(error) }
            }
            Err(error) => Err(error),
        }
    }

    /// Returns the address that this machine has in a network.
    ///
    /// # Errors
    /// The engine does not answer.
    pub async fn gateway(&self, network: &str) -> Result<Option<String>, EngineError> {
        let reply = self.get::<NetworkFactsReply>(&format!("/networks/{network}")).await?;
        Ok(reply.gateway())
    }

    /// Lists the networks with this token.
    ///
    /// # Errors
    /// The engine does not answer.
    pub async fn networks_of(&self, token: &str) -> Result<Vec<String>, EngineError> {
        let filters = query_value(&labels::with_token(token));
        let list = self.get::<Vec<NamedReply>>(&format!("/networks?filters={filters}")).await?;
        Ok(list.into_iter().map(|network| network.name).collect())
    }

    /// Removes a network. Returns whether there was one.
    ///
    /// # Errors
    /// The engine does not answer, or something uses it.
    pub async fn remove_network(&self, name: &str) -> Result<bool, EngineError> {
        match self.ask(Method::DELETE, &format!("/networks/{name}"), None).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_missing() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Creates a volume, unless there is one with this name.
    ///
    /// # Errors
    /// The engine does not answer, or refuses.
    pub async fn create_volume(
        &self,
        name: &str,
        labels: &BTreeMap<&str, String>,
    ) -> Result<(), EngineError> {
        if found(self.get::<NamedReply>(&format!("/volumes/{name}")).await)?.is_some() {
            return Ok(());
        }
        let body = serde_json::json!({ "Name": name, "Labels": labels });
        self.ask(Method::POST, "/volumes/create", Some(body.to_string())).await.map(drop)
    }

    /// Lists the named volumes of all stacks.
    ///
    /// # Errors
    /// The engine does not answer.
    pub async fn volumes(&self) -> Result<Vec<StackVolume>, EngineError> {
        let filters = query_value(&labels::of_any_stack());
        let list = self.get::<VolumesReply>(&format!("/volumes?filters={filters}")).await?;
        let list = list.volumes.unwrap_or_default().into_iter();
        Ok(list.map(|one| one.of_engine(self.address.engine)).collect())
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, EngineError> {
        let body = self.ask(Method::GET, path, None).await?;
        serde_json::from_slice(&body).map_err(|error| EngineError::Garbled(error.to_string()))
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
    ) -> Result<Bytes, EngineError> {
        self.ask_within(LIMIT, method, path, body).await
    }

    async fn ask_within(
        &self,
        limit: Duration,
        method: Method,
        path: &str,
        body: Option<String>,
    ) -> Result<Bytes, EngineError> {
        let answer = ask(&self.address.socket, method, path, body);
        timeout(limit, answer).await.unwrap_or(Err(EngineError::Late(limit)))
    }
}

fn found<T>(reply: Result<T, EngineError>) -> Result<Option<T>, EngineError> {
    match reply {
        Ok(reply) => Ok(Some(reply)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}

async fn ask(
    socket: &Path,
    method: Method,
    path: &str,
    body: Option<String>,
) -> Result<Bytes, EngineError> {
    let unreachable = |error| EngineError::Unreachable(socket.to_owned(), error);
    let broken = |error: hyper::Error| match error.is_parse() || error.is_parse_too_large() {
        true => EngineError::Garbled(error.to_string()),
        // It ends, or restarts.
        false => unreachable(std::io::Error::other(error)),
    };
    let stream = UnixStream::connect(socket).await.map_err(unreachable)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let connection = tokio::spawn(connection);
    let request = Request::builder().method(method).uri(path).header(HOST, "devstack");
    let request = request.header(CONTENT_TYPE, "application/json");
    let request = request.body(Full::<Bytes>::from(body.unwrap_or_default()));
    let request = request.map_err(|error| EngineError::Garbled(error.to_string()))?;
    let answer = sender.send_request(request).await.map_err(broken)?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
    connection.abort();
    let body = body.map_err(|error| match error.downcast::<hyper::Error>() {
        Ok(error) => broken(*error),
        Err(error) => EngineError::Garbled(error.to_string()),
    })?;
    let body = body.to_bytes();
    match status {
        // A container that was asked to start or stop and does so already.
        StatusCode::NOT_MODIFIED => Ok(body),
        status if status.is_success() => Ok(body),
        status => Err(EngineError::Refused(status.as_u16(), refusal(&body))),
    }
}

fn query_value(text: &str) -> String {
    let mut value = String::new();
    percent_encode(text, &mut value);
    value
}

/// Engines take the separators of an image's name as they are.
fn image_path(image: &str) -> String {
    let mut path = String::new();
    for part in image.split_inclusive(['/', ':', '@']) {
        let (name, separator) = match part.char_indices().next_back() {
            Some((at, '/' | ':' | '@')) => part.split_at(at),
            Some(_) | None => (part, ""),
        };
        percent_encode(name, &mut path);
        path += separator;
    }
    path
}

fn refusal(body: &[u8]) -> String {
    match serde_json::from_slice::<ErrorReply>(body) {
        Ok(reply) => reply.message.trim().to_owned(),
        Err(_) => "it refused without a reason".to_owned(),
    }
}

#[cfg(test)]
mod tests;
