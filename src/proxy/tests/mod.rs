//! The proxy in front of real servers on loopback.

mod balancing;
mod floods;
mod frames;
mod hostile;
mod parking;
mod passing;
mod recording;
mod routing;
mod tls;

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::timeout;

use super::{Proxy, RouteTable, Sleep};
use crate::https::HttpsConfig;
use crate::model::Snapshot;

/// Runs a test on one thread, as the proxy does. A test that hangs fails.
fn run<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bounded = async { timeout(Duration::from_secs(600), test).await.expect("the test hangs") };
    LocalSet::new().block_on(&runtime, bounded)
}

fn service(name: &str, phase: &str, run: u64, port: u16) -> Value {
    json!({
        "name": name, "kind": "service", "phase": phase, "since": "", "cause": format!("{phase} cause"),
        "run": run, "restarts": 0, "port": port, "pinned": false, "ports": { "main": port },
        "host": "127.0.0.1", "waiting_on": [],
        "proxy": { "label": name, "host": "keep", "balance": "least" },
    })
}

/// A replica of the service `api` of a test.
fn replica(number: u64, phase: &str, balance: &str, port: u16) -> Value {
    let mut view = service(&format!("api-{number}"), phase, number, port);
    view["group"] = "api".into();
    view["proxy"] = json!({ "label": "api", "host": "keep", "balance": balance });
    view
}

/// The stack `shop` with these services; the primary one is `web`.
fn stack(services: &[Value]) -> Value {
    json!({
        "version": 1, "stack": "shop", "dir": "/srv/shop", "mode": "run", "supervisor_pid": 1,
        "state": "up", "primary": "web", "services": services,
        "proxy": { "domain": "shop.localhost", "port": 7780, "wait_ms": 60_000, "parked": 8, "bodies": 0 },
    })
}

fn table(stacks: &[Value]) -> Arc<RouteTable> {
    let snapshots = stacks.iter().map(|stack| {
        Arc::new(serde_json::from_value::<Snapshot>(stack.clone()).expect("a snapshot"))
    });
    Arc::new(RouteTable::new(snapshots))
}

/// A proxy that listens.
struct TestProxy {
    proxy: Rc<Proxy>,
    address: SocketAddr,
    /// From where clients seem to come, if not from this machine.
    remote: watch::Sender<Option<SocketAddr>>,
    /// What is to be woken.
    wakes: mpsc::UnboundedReceiver<Arc<Sleep>>,
    routes: watch::Sender<Arc<RouteTable>>,
}

impl TestProxy {
    async fn new(stacks: &[Value]) -> TestProxy {
        TestProxy::with_https(stacks, HttpsConfig::new(None), None).await
    }

    /// A proxy that may have a CA, and may be less patient.
    async fn with_https(
        stacks: &[Value],
        https: HttpsConfig,
        head_time: Option<Duration>,
    ) -> TestProxy {
        let (routes, receiver) = watch::channel(table(stacks));
        let (tell, wakes) = mpsc::unbounded_channel();
        let mut proxy = Proxy::new(receiver, tell, https);
        proxy.head_time = head_time.unwrap_or(proxy.head_time);
        let proxy = Rc::new(proxy);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (remote, from) = watch::channel(None);
        let served = proxy.clone();
        spawn_local(async move {
            loop {
                let (stream, peer) = listener.accept().await.unwrap();
                let peer = from.borrow().unwrap_or(peer);
                spawn_local(served.clone().serve(stream, peer));
            }
        });
        TestProxy { proxy, address, remote, wakes, routes }
    }

    /// A proxy for one stack with these services.
    async fn for_services(services: &[Value]) -> TestProxy {
        TestProxy::new(&[stack(services)]).await
    }

    fn publish(&self, services: &[Value]) {
        self.routes.send_replace(table(&[stack(services)]));
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends bytes and returns everything until the proxy closes the connection.
    async fn exchange(&self, request: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request.as_ref()).await.unwrap();
        read_to_end(&mut stream).await
    }

    async fn get(&self, host: &str, path: &str) -> String {
        self.exchange(get(host, path)).await
    }

    /// Sends a request in the background.
    fn spawn_get(&self, host: &str, path: &str) -> tokio::task::JoinHandle<String> {
        let (address, request) = (self.address, get(host, path));
        spawn_local(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            read_to_end(&mut stream).await
        })
    }

    /// Waits until this many requests wait.
    async fn parked(&self, count: usize) {
        while self.proxy.parked() != count {
            tokio::task::yield_now().await;
        }
    }
}

/// A request after which the connection is closed.
fn get(host: &str, path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
}

/// Reads until the end or a reset, which is one, too.
async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all).await;
    String::from_utf8_lossy(&all).into_owned()
}

/// Reads until the text ends in `end`.
async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut all = Vec::new();
    while !all.ends_with(end.as_bytes()) {
        let byte = stream.read_u8().await.unwrap_or_else(|error| {
            panic!("{error} after {:?}", String::from_utf8_lossy(&all));
        });
        all.push(byte);
    }
    String::from_utf8_lossy(&all).into_owned()
}

type TestBody = UnsyncBoxBody<Bytes, Infallible>;

fn text(body: impl Into<Bytes>) -> Response<TestBody> {
    Response::new(Full::new(body.into()).boxed_unsync())
}

/// A real server; returns its port.
async fn server<A>(answer: impl Fn(Request<Incoming>) -> A + Clone + 'static) -> u16
where
    A: Future<Output = Response<TestBody>> + 'static,
{
    serve_with(move |stream| {
        let answer = answer.clone();
        async move {
            let service = service_fn(move |request| {
                let answered = answer(request);
                async move { Ok::<_, Infallible>(answered.await) }
            });
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            let _ = connection.with_upgrades().await;
        }
    })
    .await
}

/// A server that may break every rule; returns its port.
async fn serve_with<A>(connection: impl Fn(TcpStream) -> A + 'static) -> u16
where
    A: Future<Output = ()> + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    spawn_local(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            spawn_local(connection(stream));
        }
    });
    port
}

/// A server that reads a head and responds with these bytes, then closes.
async fn raw_server(response: &'static str) -> u16 {
    serve_with(move |mut stream| async move {
        read_until(&mut stream, "\r\n\r\n").await;
        stream.write_all(response.as_bytes()).await.unwrap();
    })
    .await
}

/// A server whose responses repeat the head of the request.
async fn echo_server(name: &'static str) -> u16 {
    server(move |request| async move {
        let mut head = format!("{name}: {} {}\n", request.method(), request.uri());
        for (key, value) in request.headers() {
            head += &format!("{key}: {}\n", value.to_str().unwrap());
        }
        let body = request.into_body().collect().await.unwrap().to_bytes();
        text(format!("{head}\n{}", String::from_utf8_lossy(&body)))
    })
    .await
}

/// A port on which nothing listens.
async fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}
