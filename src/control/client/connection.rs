use std::io;
use std::path::Path;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONNECTION, HOST, UPGRADE};
use hyper::http::request::Builder;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use crate::control::ClientError;
use crate::control::protocol::{
    ErrorResponse, OUTPUT_HEADER, PROTOCOL, PROTOCOL_HEADER, VERSION, VERSION_HEADER,
};
use crate::model::{Message, MessageClass};
use crate::sys::file_id::own_output;

/// Maximum size of a response that is read whole, in bytes: a snapshot of thousands of services.
const MAX_ANSWER: usize = 64 * 1024 * 1024;

pub(super) struct ControlConnection {
    sender: SendRequest<Full<Bytes>>,
}

impl ControlConnection {
    pub async fn open(socket: &Path) -> io::Result<ControlConnection> {
        let stream = TokioIo::new(UnixStream::connect(socket).await?);
        let (sender, connection) = http1::handshake(stream).await.map_err(io::Error::other)?;
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "lost the connection to the stack");
            }
        });
        Ok(ControlConnection { sender })
    }

    /// Sends a request and waits for the head of the response, whatever its status.
    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<Response<Incoming>, ClientError> {
        self.ask(request(method, path), body).await
    }

    pub async fn upgrade(
        &mut self,
        path: &str,
        protocol: &'static str,
    ) -> Result<Response<Incoming>, ClientError> {
        let request = request(Method::GET, path);
        let request = request.header(CONNECTION, "upgrade").header(UPGRADE, protocol);
        self.ask(request, Vec::new()).await
    }

    async fn ask(
        &mut self,
        request: Builder,
        body: Vec<u8>,
    ) -> Result<Response<Incoming>, ClientError> {
        let request = request.body(Full::from(body)).expect("paths are valid URIs");
        self.sender.ready().await.map_err(|_| ClientError::ended())?;
        // Any other failure is a connection that closed without a response.
        self.sender.send_request(request).await.map_err(|error| {
            if error.is_parse() {
                ClientError::unreadable_response(error)
            } else {
                ClientError::ended()
            }
        })
    }
}

fn request(method: Method, path: &str) -> Builder {
    let request = Request::builder().method(method).uri(path).header(HOST, "devstack");
    let request = request.header(PROTOCOL_HEADER, PROTOCOL);
    own_output()
        .into_iter()
        .fold(request, |request, file| request.header(OUTPUT_HEADER, file.to_string()))
}

/// Returns an error unless the response uses this client's protocol.
pub(super) fn check_protocol(answer: &Response<Incoming>) -> Result<(), ClientError> {
    let header = |name| answer.headers().get(name).and_then(|value| value.to_str().ok());
    let theirs = header(PROTOCOL_HEADER);
    if theirs.and_then(|text| text.parse().ok()) == Some(PROTOCOL) {
        return Ok(());
    }
    let text = format!(
        "the running devstack has version {} with protocol {}; this is version {VERSION} with protocol {PROTOCOL}",
        header(VERSION_HEADER).unwrap_or("unknown"),
        theirs.unwrap_or("unknown"),
    );
    let help = "run `devstack down` (it works across versions), then start the stack again";
    Err(ClientError::ProtocolMismatch(Message::new(MessageClass::Usage, text).help(help)))
}

/// Reads the body of a successful response; returns the error of any other.
pub(super) async fn read_body(answer: Response<Incoming>) -> Result<Bytes, ClientError> {
    let status = answer.status();
    let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
    let body = match body {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            return Err(ClientError::unreadable_response(format!("it exceeds {MAX_ANSWER} bytes")));
        }
        Err(_) => return Err(ClientError::ended()),
    };
    if status.is_success() {
        return Ok(body);
    }
    Err(match serde_json::from_slice(&body) {
        Ok(ErrorResponse { error }) => refusal(status, error),
        Err(_) => ClientError::unreadable_response(format!("status {status}")),
    })
}

pub(super) fn refusal(status: StatusCode, error: Message) -> ClientError {
    match status {
        StatusCode::NOT_FOUND => ClientError::UnknownService(error),
        StatusCode::FORBIDDEN => ClientError::Denied(error),
        StatusCode::GONE => ClientError::NotRunning(error),
        _ => ClientError::Refused(error),
    }
}
