use std::io;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONNECTION, HOST, UPGRADE};
use hyper::http::request::Builder;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use super::Failure;
use super::protocol::{PROTOCOL, PROTOCOL_HEADER, Refusal, VERSION, VERSION_HEADER};
use crate::model::{Class, Message};

/// The longest answer that is read whole: a snapshot of thousands of services.
const MAX_ANSWER: usize = 64 * 1024 * 1024;

/// An open connection to a devstack.
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
}

impl Connection {
    /// Connects to the socket.
    pub async fn open(socket: &Path) -> io::Result<Connection> {
        let stream = TokioIo::new(UnixStream::connect(socket).await?);
        let (sender, connection) = http1::handshake(stream).await.map_err(io::Error::other)?;
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "the connection to the stack broke");
            }
        });
        Ok(Connection { sender })
    }

    /// Sends a request and waits for the head of its answer, whatever that is.
    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<Response<Incoming>, Failure> {
        self.ask(request(method, path), body).await
    }

    /// Asks for a connection of another kind.
    pub async fn upgrade(
        &mut self,
        path: &str,
        protocol: &'static str,
    ) -> Result<Response<Incoming>, Failure> {
        let request = request(Method::GET, path);
        let request = request.header(CONNECTION, "upgrade").header(UPGRADE, protocol);
        self.ask(request, Vec::new()).await
    }

    async fn ask(
        &mut self,
        request: Builder,
        body: Vec<u8>,
    ) -> Result<Response<Incoming>, Failure> {
        let request =
            request.body(Full::from(body)).expect("paths are made of letters, digits and names");
        self.sender.ready().await.map_err(|_| Failure::ended())?;
        // Every way in which this fails is a connection that ended without an answer, or one that
        // did not speak HTTP.
        self.sender.send_request(request).await.map_err(|error| {
            if error.is_parse() { Failure::garbled(error) } else { Failure::ended() }
        })
    }
}

fn request(method: Method, path: &str) -> Builder {
    let request = Request::builder().method(method).uri(path).header(HOST, "devstack");
    request.header(PROTOCOL_HEADER, PROTOCOL)
}

/// Waits for something that comes at once from a devstack that is well.
pub(super) async fn soon<T>(
    patience: Duration,
    pid: Option<u32>,
    what: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(patience, what).await {
        Ok(result) => result,
        Err(_) => Err(silent(patience, pid)),
    }
}

fn silent(patience: Duration, pid: Option<u32>) -> Failure {
    let who = pid.map_or(String::new(), |pid| format!(" (pid {pid})"));
    let text = format!("the devstack that runs here{who} does not answer within {patience:?}");
    let help = match pid {
        Some(pid) => {
            format!("if it is stopped, `kill -CONT {pid}` continues it; `kill {pid}` ends it")
        }
        None => String::new(),
    };
    Failure::Busy(Message::new(Class::Busy, text).help(help))
}

/// An error unless the answer is in the protocol of this client.
pub(super) fn same_protocol(answer: &Response<Incoming>) -> Result<(), Failure> {
    let header = |name| answer.headers().get(name).and_then(|value| value.to_str().ok());
    let theirs = header(PROTOCOL_HEADER);
    if theirs.and_then(|text| text.parse().ok()) == Some(PROTOCOL) {
        return Ok(());
    }
    let text = format!(
        "the devstack that runs here is version {} with protocol {}; this is version {VERSION} with protocol {PROTOCOL}",
        header(VERSION_HEADER).unwrap_or("unknown"),
        theirs.unwrap_or("unknown"),
    );
    let help = "stop it with `devstack down`, which works across versions, and start it again";
    Err(Failure::Mismatch(Message::new(Class::Usage, text).help(help)))
}

/// The body of an answer that says yes; the failure in one that says no.
pub(super) async fn whole(answer: Response<Incoming>) -> Result<Bytes, Failure> {
    let status = answer.status();
    let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
    let body = match body {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            return Err(Failure::garbled(format!("it is longer than {MAX_ANSWER} bytes")));
        }
        Err(_) => return Err(Failure::ended()),
    };
    if status.is_success() { Ok(body) } else { Err(refusal(status, &body)) }
}

fn refusal(status: StatusCode, body: &[u8]) -> Failure {
    let Ok(Refusal { error }) = serde_json::from_slice(body) else {
        return Failure::garbled(format!("status {status}"));
    };
    match status {
        StatusCode::NOT_FOUND => Failure::UnknownService(error),
        StatusCode::FORBIDDEN => Failure::Denied(error),
        StatusCode::GONE => Failure::NotRunning(error),
        _ => Failure::Refused(error),
    }
}
