use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::Uri;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::ProbeContext;
use super::probe_attempt::ProbeAttempt;
use super::tcp::{self, ProbeTargets};
use crate::sync::lock_unpoisoned;

const ATTEMPT_MAX: Duration = Duration::from_secs(5);

/// How long to read the body: many servers log an error when a client leaves early.
const BODY_WAIT: Duration = Duration::from_millis(250);

/// In bytes.
const BODY_MAX: usize = 64 << 10;

/// In bytes.
const HEADERS_MAX: usize = 64 << 10;

/// First bytes of a response that are kept to describe one that is not HTTP.
const FIRST_MAX: usize = 32;

/// Sends `GET url`; a status below 400 is a success, or any status. Does not follow redirects.
pub(super) async fn attempt(
    url: &str,
    any_status: bool,
    own_port: Option<u16>,
    sight: &ProbeContext,
) -> ProbeAttempt {
    let uri: Uri = match url.parse() {
        Ok(uri) => uri,
        Err(error) => return ProbeAttempt::Failed(format!("invalid URL `{url}`: {error}")),
    };
    let host = uri.host().unwrap_or("localhost");
    let places = match own_port.map(|port| tcp::targets(port, host, sight)).transpose() {
        Ok(places) => places,
        Err(attempt) => return attempt,
    };
    match timeout(ATTEMPT_MAX, get(&uri, any_status, places)).await {
        Ok(attempt) => attempt,
        Err(_) => failed(&uri, &format!("got no response within {}s", ATTEMPT_MAX.as_secs())),
    }
}

async fn get(uri: &Uri, any_status: bool, own: Option<ProbeTargets>) -> ProbeAttempt {
    let addresses = match addresses(uri, own.as_ref()).await {
        Ok(addresses) => addresses,
        Err(error) => return ProbeAttempt::of_error(error, format!("cannot resolve {uri}")),
    };
    let stream = match tcp::connect(&addresses).await {
        Ok(stream) => stream,
        Err(error) => {
            let text = format!("GET {} failed to connect: {}", path(uri), tcp::reason(&error));
            return ProbeAttempt::of_error(error, text);
        }
    };
    let first = Arc::new(Mutex::new(Vec::new()));
    match exchange(uri, PrefixRecorder { stream, first: first.clone() }).await {
        Ok(status) if status < 400 || any_status => {
            let what = format!("GET {} returned {status}", path(uri));
            match own {
                Some(places) => places.held(what),
                None => ProbeAttempt::Held(what),
            }
        }
        Ok(status) => failed(uri, &format!("returned {status}")),
        Err(error) => {
            let first = lock_unpoisoned(&first);
            failed(uri, &describe_error(&error, &first))
        }
    }
}

async fn exchange(uri: &Uri, stream: PrefixRecorder) -> hyper::Result<u16> {
    let mut builder = http1::Builder::new();
    let (mut sender, connection) =
        builder.max_buf_size(HEADERS_MAX).handshake(TokioIo::new(stream)).await?;
    let talk = async {
        let answer = sender.send_request(request(uri)).await?;
        let status = answer.status().as_u16();
        // The body cannot change the result.
        let _ = timeout(BODY_WAIT, drain(answer.into_body())).await;
        Ok(status)
    };
    // The connection does the I/O and ends with the exchange.
    tokio::pin!(talk);
    tokio::select! {
        biased;
        status = &mut talk => status,
        result = connection => match result {
            Ok(()) => talk.await,
            Err(error) => Err(error),
        }
    }
}

fn request(uri: &Uri) -> hyper::Request<Empty<Bytes>> {
    let host = uri.authority().map_or("", |authority| authority.as_str());
    // Credentials in the URL are not part of the host.
    let host = host.rsplit('@').next().unwrap_or(host);
    hyper::Request::get(path(uri))
        .header("host", host)
        .header("user-agent", "devstack")
        .header("accept", "*/*")
        .header("connection", "close")
        .body(Empty::new())
        .expect("path and host come from a parsed URL")
}

async fn drain(mut body: Incoming) {
    let mut read = 0;
    while let Some(Ok(frame)) = body.frame().await {
        read += frame.data_ref().map_or(0, Bytes::len);
        if read >= BODY_MAX {
            return;
        }
    }
}

/// Resolves the URL; for a port of the service, to where it listens.
async fn addresses(uri: &Uri, own: Option<&ProbeTargets>) -> io::Result<Vec<SocketAddr>> {
    if let Some(places) = own {
        return Ok(places.reachable.clone());
    }
    let host = uri.host().unwrap_or("localhost");
    let port = uri.port_u16().unwrap_or(80);
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if bare == "localhost" {
        return Ok(tcp::addresses(bare, port));
    }
    Ok(lookup_host((bare, port)).await?.collect())
}

fn path(uri: &Uri) -> &str {
    uri.path_and_query().map_or("/", |path| path.as_str())
}

fn failed(uri: &Uri, what: &str) -> ProbeAttempt {
    ProbeAttempt::Failed(format!("GET {} {what}", path(uri)))
}

/// Describes a response that is not valid HTTP.
fn describe_error(error: &hyper::Error, first: &[u8]) -> String {
    if matches!(first, [0x15 | 0x16, 3, ..]) {
        "got a TLS response: the port speaks https, not http".into()
    } else if first.is_empty() {
        "got no response: the connection was closed".into()
    } else if error.is_parse_too_large() {
        format!("got response headers larger than {} KiB", HEADERS_MAX >> 10)
    } else if error.is_incomplete_message() {
        "got an incomplete response: the connection was closed".into()
    } else if error.is_parse() {
        format!("got a response that is not HTTP/1: it begins with \"{}\"", first.escape_ascii())
    } else {
        format!("got an incomplete response: {error}")
    }
}

/// A connection that records the first bytes it reads.
struct PrefixRecorder {
    stream: TcpStream,
    first: Arc<Mutex<Vec<u8>>>,
}

impl AsyncRead for PrefixRecorder {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let mut first = lock_unpoisoned(&self.first);
        let room = FIRST_MAX - first.len();
        first.extend(buf.filled()[before..].iter().take(room));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for PrefixRecorder {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
