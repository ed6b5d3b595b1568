use std::io;

use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::task::spawn_local;

use super::service_body::ServiceBody;
use crate::proxy::proxy_server::{LocalExecutor, MESSAGE_BUFFER};
use crate::proxy::request_body::RequestBody;
use crate::proxy::shared_stream::{SharedStream, StreamHandle};

/// A connection that can send a request.
pub(in crate::proxy) struct UpstreamConnection {
    sender: RequestSender,
    stream: StreamHandle,
}

enum RequestSender {
    /// One request at a time.
    Http1(http1::SendRequest<RequestBody>),
    /// Any number of requests at a time.
    Http2(http2::SendRequest<RequestBody>),
}

impl UpstreamConnection {
    /// Begins to speak HTTP/1.1 or HTTP/2, without TLS. The connection works in a task of its own.
    pub async fn open(stream: TcpStream, http2: bool) -> io::Result<UpstreamConnection> {
        let shared = SharedStream::new(stream)?;
        let stream = shared.handle();
        let shared = TokioIo::new(shared);
        if http2 {
            let mut builder = http2::Builder::new(LocalExecutor);
            builder.timer(TokioTimer::new()).max_header_list_size(MESSAGE_BUFFER as u32);
            let opened = builder.handshake(shared).await;
            let (sender, connection) = opened.map_err(io::Error::other)?;
            // Its errors are those of its requests.
            spawn_local(connection);
            return Ok(UpstreamConnection { sender: RequestSender::Http2(sender), stream });
        }
        let opened = http1::Builder::new().max_buf_size(MESSAGE_BUFFER).handshake(shared).await;
        let (sender, connection) = opened.map_err(io::Error::other)?;
        spawn_local(connection.with_upgrades());
        Ok(UpstreamConnection { sender: RequestSender::Http1(sender), stream })
    }

    /// Whether it can take a request now.
    pub fn is_ready(&self) -> bool {
        match &self.sender {
            RequestSender::Http1(sender) => sender.is_ready(),
            RequestSender::Http2(sender) => sender.is_ready(),
        }
    }

    /// Returns the same connection for another request. `None`: it takes one at a time.
    pub fn share(&self) -> Option<UpstreamConnection> {
        match &self.sender {
            RequestSender::Http1(_) => None,
            RequestSender::Http2(sender) => Some(UpstreamConnection {
                sender: RequestSender::Http2(sender.clone()),
                stream: self.stream.clone(),
            }),
        }
    }

    /// Waits until its response has been read. Returns whether it must then be kept for another
    /// request.
    pub async fn becomes_idle(&mut self) -> bool {
        match &mut self.sender {
            RequestSender::Http1(sender) => sender.ready().await.is_ok(),
            RequestSender::Http2(_) => false,
        }
    }

    /// Sends a request. The error has it if nothing of it was sent.
    pub async fn try_send(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<ServiceBody>, TrySendError<Request<RequestBody>>> {
        let sent: Result<Response<Incoming>, _> = match &mut self.sender {
            RequestSender::Http1(sender) => {
                self.stream.head(sender.try_send_request(request)).await
            }
            RequestSender::Http2(sender) => sender.try_send_request(request).await,
        };
        sent.map(|response| response.map(|body| ServiceBody::new(body, self.stream.clone())))
    }
}
