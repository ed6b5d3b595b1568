use std::error::Error as _;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::Uri;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::http::uri::Scheme;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::lookup_host;
use tokio::time::timeout;

use super::ProbeContext;
use super::probe_attempt::ProbeAttempt;
use super::tcp::{self, ProbeTargets};
use super::tls;
use crate::model::AcceptedStatus;
use crate::sync::lock_unpoisoned;

const ATTEMPT_MAX: Duration = Duration::from_secs(5);

/// When the user is told that there is no response yet.
const SLOW: Duration = Duration::from_secs(1);

/// How long to read the body: many servers log an error when a client leaves early.
const BODY_WAIT: Duration = Duration::from_millis(250);

/// In bytes.
const BODY_MAX: usize = 64 << 10;

/// In bytes.
const HEADERS_MAX: usize = 64 << 10;

/// First bytes of a response that are kept to describe one that is not HTTP.
const FIRST_MAX: usize = 32;

/// A `GET` of a probe. Does not follow redirects.
pub(super) struct HttpRequest<'a> {
    pub url: &'a str,
    pub status: &'a AcceptedStatus,
    /// Whether an `https` server may have any certificate.
    pub insecure: bool,
    /// The port, if it is the service's own.
    pub own_port: Option<u16>,
}

impl HttpRequest<'_> {
    /// Sends it. `slow` gets what is known so far when the response takes long.
    pub async fn attempt(
        self,
        sight: &ProbeContext,
        slow: &(dyn Fn(String) + Sync),
    ) -> ProbeAttempt {
        let uri: Uri = match self.url.parse() {
            Ok(uri) => uri,
            Err(error) => {
                return ProbeAttempt::Failed(format!("invalid URL `{}`: {error}", self.url));
            }
        };
        let host = uri.host().unwrap_or("localhost");
        let places = match self.own_port.map(|port| tcp::targets(port, host, sight)).transpose() {
            Ok(places) => places,
            Err(attempt) => return attempt,
        };
        let connected = AtomicBool::new(false);
        let get = get(&uri, &self, places, &connected);
        tokio::pin!(get);
        if let Ok(attempt) = timeout(SLOW, &mut get).await {
            return attempt;
        }
        // Otherwise the user would read that nothing is listening yet.
        if connected.load(Ordering::Relaxed) {
            slow(unanswered(&uri, "has got no response yet"));
        }
        match timeout(ATTEMPT_MAX - SLOW, get).await {
            Ok(attempt) => attempt,
            Err(_) => {
                let what = format!("got no response within {}s", ATTEMPT_MAX.as_secs());
                ProbeAttempt::Failed(match connected.load(Ordering::Relaxed) {
                    true => unanswered(&uri, &what),
                    false => format!("GET {} {what}", path(&uri)),
                })
            }
        }
    }
}

/// `port 8000 accepts connections, but GET / …`
fn unanswered(uri: &Uri, what: &str) -> String {
    format!("port {} accepts connections, but GET {} {what}", port(uri), path(uri))
}

async fn get(
    uri: &Uri,
    asked: &HttpRequest<'_>,
    own: Option<ProbeTargets>,
    connected: &AtomicBool,
) -> ProbeAttempt {
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
    connected.store(true, Ordering::Relaxed);
    let first = Arc::new(Mutex::new(Vec::new()));
    let answer = if is_https(uri) {
        let bare = bare_host(uri);
        match tls::connect(stream, bare, asked.insecure).await {
            Ok(stream) => exchange(uri, PrefixRecorder { stream, first: first.clone() }).await,
            Err(error) => return failed(uri, &tls::describe_error(&error)),
        }
    } else {
        exchange(uri, PrefixRecorder { stream, first: first.clone() }).await
    };
    match answer {
        Ok(status) if asked.status.accepts(status) => {
            let what = format!("GET {} returned {status}", path(uri));
            match own {
                Some(places) => places.held(what),
                None => ProbeAttempt::Held(what),
            }
        }
        // Proof of a server that works, if not for everyone.
        Ok(status @ (401 | 403)) => {
            failed(uri, &format!("returned {status}; to accept it, add it to `status`"))
        }
        Ok(status) => failed(uri, &format!("returned {status}")),
        Err(error) => {
            let first = lock_unpoisoned(&first);
            failed(uri, &describe_error(&error, &first))
        }
    }
}

async fn exchange<S>(uri: &Uri, stream: PrefixRecorder<S>) -> hyper::Result<u16>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
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
    let (bare, port) = (bare_host(uri), port(uri));
    if bare == "localhost" {
        return Ok(tcp::local_addresses(bare, port));
    }
    Ok(lookup_host((bare, port)).await?.collect())
}

fn is_https(uri: &Uri) -> bool {
    uri.scheme() == Some(&Scheme::HTTPS)
}

fn port(uri: &Uri) -> u16 {
    uri.port_u16().unwrap_or(if is_https(uri) { 443 } else { 80 })
}

/// Returns the host without the brackets of an IPv6 address.
fn bare_host(uri: &Uri) -> &str {
    let host = uri.host().unwrap_or("localhost");
    host.trim_start_matches('[').trim_end_matches(']')
}

fn path(uri: &Uri) -> &str {
    uri.path_and_query().map_or("/", |path| path.as_str())
}

fn failed(uri: &Uri, what: &str) -> ProbeAttempt {
    ProbeAttempt::Failed(format!("GET {} {what}", path(uri)))
}

/// Describes a response that is not valid HTTP.
fn describe_error(error: &hyper::Error, first: &[u8]) -> String {
    if is_reset(error) {
        "got no complete response: the connection was reset".into()
    } else if matches!(first, [0x15 | 0x16, 3, ..]) {
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

fn is_reset(error: &hyper::Error) -> bool {
    let reset = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionReset;
    let mut cause = error.source();
    while let Some(inner) = cause {
        if inner.downcast_ref().is_some_and(reset) {
            return true;
        }
        cause = inner.source();
    }
    false
}

/// A connection that records the first bytes it reads.
struct PrefixRecorder<S> {
    stream: S,
    first: Arc<Mutex<Vec<u8>>>,
}

impl<S: AsyncRead + Unpin> AsyncRead for PrefixRecorder<S> {
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

impl<S: AsyncWrite + Unpin> AsyncWrite for PrefixRecorder<S> {
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
