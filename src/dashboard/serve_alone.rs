//! The dashboard on a port of its own, without the front door; and how the command gets a code for
//! the browser.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, ORIGIN};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::api::CodeBody;
use super::patient_stream::PatientStream;
use super::{Dashboard, DashboardToken};

/// The port, unless it is in use. It is not among those that services get.
const USUAL_PORT: u16 = 7779;
/// How many connections there may be.
const MAX_CONNECTIONS: usize = 256;
/// How long a client may be silent before its request.
const HEAD_TIME: Duration = Duration::from_secs(60);
/// How long a client may take nothing of what it asked for.
const STALLED: Duration = Duration::from_secs(60);
/// The limit for the head of a request.
const HEAD_SIZE: usize = 64 << 10;
/// Delay after a failed accept.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a dashboard may take to answer the command.
const CODE_TIME: Duration = Duration::from_secs(2);
const MAX_CODE: usize = 4096;

/// A dashboard on a port of 127.0.0.1.
pub struct AloneServer {
    listener: StdListener,
    port: u16,
    dashboard: Dashboard,
}

impl AloneServer {
    /// Listens on this port, or on any.
    ///
    /// # Errors
    /// The port is in use.
    pub fn bind(port: Option<u16>, dashboard: Dashboard) -> io::Result<AloneServer> {
        let bind = |port| StdListener::bind((Ipv4Addr::LOCALHOST, port));
        let listener = match port {
            Some(port) => bind(port)?,
            None => bind(USUAL_PORT).or_else(|_| bind(0))?,
        };
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        Ok(AloneServer { listener, port, dashboard })
    }

    /// Returns its address. With a name, another program could listen on the port of another address
    /// that the name has.
    pub fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Serves until the end of the process.
    ///
    /// # Errors
    /// The system cannot wait for connections.
    pub async fn run(self) -> io::Result<()> {
        let origins: Arc<[String]> =
            [self.origin(), format!("http://localhost:{}", self.port)].into();
        let listener = TcpListener::from_std(self.listener)?;
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            // The semaphore is never closed.
            let Ok(place) = places.clone().acquire_owned().await else { return Ok(()) };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let (dashboard, origins) = (self.dashboard.clone(), origins.clone());
                    tokio::spawn(async move {
                        connection(stream, dashboard, &origins).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a browser");
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

async fn connection(stream: TcpStream, dashboard: Dashboard, origins: &[String]) {
    let service = service_fn(|request| {
        let dashboard = dashboard.clone();
        async move { Ok::<_, Infallible>(dashboard.answer(request, origins).await) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_buf_size(HEAD_SIZE);
    let stream = TokioIo::new(PatientStream::new(stream, STALLED));
    if let Err(error) = builder.serve_connection(stream, service).await {
        tracing::debug!(%error, "a browser's connection ended");
    }
}

/// Asks the dashboard at an address for a code that a browser exchanges for the token.
///
/// # Errors
/// No dashboard of this user answers there.
pub async fn launch_code(port: u16, origin: &str, token: &DashboardToken) -> io::Result<String> {
    timeout(CODE_TIME, ask_code(port, origin, token)).await?
}

async fn ask_code(port: u16, origin: &str, token: &DashboardToken) -> io::Result<String> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    let connection = tokio::spawn(connection);
    let (_, host) = origin.split_once("://").unwrap_or_default();
    let request = Request::post("/api/code")
        .header(HOST, host)
        .header(ORIGIN, origin)
        .header(CONTENT_TYPE, "application/json")
        .header(AUTHORIZATION, format!("Bearer {}", token.as_str()))
        .body(Full::new(Bytes::from_static(b"{}")))
        .map_err(io::Error::other)?;
    let response = sender.send_request(request).await.map_err(io::Error::other)?;
    let status = response.status();
    let body =
        Limited::new(response.into_body(), MAX_CODE).collect().await.map_err(io::Error::other)?;
    connection.abort();
    match status {
        StatusCode::OK => {
            let body: CodeBody = serde_json::from_slice(&body.to_bytes())?;
            Ok(body.code)
        }
        status => Err(io::Error::other(format!("status {status}"))),
    }
}
