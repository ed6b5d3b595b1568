use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};
use tokio_rustls::server::TlsStream;

use super::client::ProxyClient;
use super::exchange_ring::{ExchangeRing, ExchangeRings};
use super::forward::Forwarder;
use super::own_page::{OWN_NAME, OwnPage};
use super::route::Sleep;
use super::route_table::RouteTable;
use super::shared_stream::SharedStream;
use super::traffic::Traffic;
use crate::https::{self, HANDSHAKE_RECORD, HttpsConfig};
use crate::sys::allocator;

/// The limit for the head of a message, and for what is buffered of a body, in bytes.
pub(super) const MESSAGE_BUFFER: usize = 64 << 10;

/// How long a client may be silent between requests, and how long it may take to shake hands or to
/// send a head.
const HEAD_TIME: Duration = Duration::from_secs(60);

/// How many clients may be connected.
const CLIENTS_MAX: usize = 16 << 10;

/// So many clients at a time are a burst.
const BURST: usize = 256;

/// How many may be connected when another one comes from another machine: the rest is for this one.
const REMOTE_CLIENTS_MAX: usize = CLIENTS_MAX / 2;

/// Answers the requests of clients. One thread: it must be used inside a [`tokio::task::LocalSet`].
///
/// When the sender of the routes is dropped, it closes: idle connections at once, others after the
/// response that they are waiting for.
pub struct Proxy {
    routes: watch::Receiver<Arc<RouteTable>>,
    traffic: Rc<Traffic>,
    rings: Rc<ExchangeRings>,
    https: Rc<HttpsConfig>,
    own_page: Option<Rc<dyn OwnPage>>,
    clients: Rc<ClientCount>,
    closing: watch::Receiver<bool>,
    pub(super) head_time: Duration,
}

impl Proxy {
    /// Creates a proxy that follows `routes`, in a task of its own, until their sender is dropped.
    /// What requests wait for and is asleep goes to `wakes`, once for each sleep. `https`: the local
    /// CA, if there is one at the moment.
    pub fn new(
        routes: watch::Receiver<Arc<RouteTable>>,
        wakes: mpsc::UnboundedSender<Arc<Sleep>>,
        https: HttpsConfig,
    ) -> Proxy {
        let (close, closing) = watch::channel(false);
        let traffic = Rc::new(Traffic::new(wakes));
        let rings = Rc::new(ExchangeRings::default());
        spawn_local(follow(routes.clone(), traffic.clone(), rings.clone(), close));
        let (https, clients) = (Rc::new(https), Rc::default());
        Proxy {
            routes,
            traffic,
            rings,
            https,
            own_page: None,
            clients,
            closing,
            head_time: HEAD_TIME,
        }
    }

    /// Adds devstack's own page.
    pub fn with_own_page(self, own_page: Option<Rc<dyn OwnPage>>) -> Proxy {
        Proxy { own_page, ..self }
    }

    /// Whether devstack's own page is served: it is there, and no stack has its name.
    pub fn serves_own_page(&self) -> bool {
        self.own_page.is_some() && !self.routes.borrow().has_name(OWN_NAME)
    }

    /// Serves one accepted connection until it ends. Connections beyond the limit are closed at once,
    /// and so are those from other machines unless a service is open to them.
    pub async fn serve(self: Rc<Self>, stream: TcpStream, peer: SocketAddr) {
        let Ok((mut client, stream)) = ProxyClient::new(stream, peer) else { return };
        let limit = if client.is_remote() { REMOTE_CLIENTS_MAX } else { CLIENTS_MAX };
        let refused = client.is_remote() && !self.routes.borrow().has_open();
        if refused || self.clients.now.get() >= limit {
            return;
        }
        let _place = self.clients.add();
        let mut closing = self.closing.clone();
        let close = async move {
            // An error means the same: the proxy is gone.
            let _ = closing.wait_for(|closing| *closing).await;
        };
        let mut close = pin!(close);
        // A client that sends nothing costs no buffers.
        let begun = tokio::select! {
            biased;
            () = &mut close => return,
            begun = timeout(self.head_time, self.begin(stream)) => begun,
        };
        match begun {
            Ok(Ok(BegunStream::Plain(stream))) => self.converse(stream, client, close).await,
            Ok(Ok(BegunStream::Tls(stream, name))) => {
                client.tls_name = Some(name);
                self.converse(stream, client, close).await;
            }
            Ok(Err(error)) => tracing::debug!(%error, "a client did not begin"),
            Err(_) => {}
        }
    }

    /// Finds out by the first byte whether a client speaks TLS, and shakes hands if so. Without a CA,
    /// that byte is as invalid as any other.
    async fn begin(&self, stream: SharedStream) -> io::Result<BegunStream> {
        let is_tls = stream.first_byte().await? == Some(HANDSHAKE_RECORD);
        match is_tls.then(|| self.https.current()).flatten() {
            None => Ok(BegunStream::Plain(stream)),
            Some(config) => {
                let (stream, name) = https::accept(stream, config).await?;
                Ok(BegunStream::Tls(Box::new(stream), name))
            }
        }
    }

    /// Answers the requests of a client, in HTTP/2 if it begins with the preface of that, until it
    /// leaves or the proxy closes.
    async fn converse<S>(
        &self,
        stream: S,
        client: ProxyClient,
        mut close: Pin<&mut impl Future<Output = ()>>,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let client = Rc::new(client);
        let asked = Cell::new(false);
        let service = service_fn(|request| {
            asked.set(true);
            let forwarder = Forwarder {
                routes: self.routes.clone(),
                traffic: self.traffic.clone(),
                rings: self.rings.clone(),
                https: self.https.clone(),
                own_page: self.own_page.clone(),
                client: client.clone(),
            };
            forwarder.answer(request)
        });
        let mut builder = auto::Builder::new(LocalExecutor);
        let mut http1 = builder.http1();
        http1.timer(TokioTimer::new()).header_read_timeout(self.head_time);
        http1.max_buf_size(MESSAGE_BUFFER);
        let mut http2 = builder.http2();
        http2.timer(TokioTimer::new()).keep_alive_interval(self.head_time);
        http2.max_header_list_size(MESSAGE_BUFFER as u32);
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        let never_asked = async {
            sleep(self.head_time).await;
            if asked.get() {
                std::future::pending().await
            }
        };
        let end = tokio::select! {
            biased;
            end = connection.as_mut() => end,
            () = &mut close => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
            // hyper limits the time for a head of HTTP/1, not for the preface of HTTP/2.
            () = never_asked => return,
        };
        if let Err(error) = end {
            tracing::debug!(%error, "a client's connection ended");
        }
    }

    /// Returns what went through for the stack whose names end in `domain`. `None`: that is not
    /// recorded.
    pub fn exchanges(&self, domain: &str) -> Option<Rc<ExchangeRing>> {
        let table = self.routes.borrow();
        let stack = table.stacks().find(|stack| stack.domain.eq_ignore_ascii_case(domain))?;
        self.rings.of(stack)
    }

    /// Returns how many clients are connected.
    #[cfg(test)]
    pub(super) fn clients(&self) -> usize {
        self.clients.now.get()
    }

    /// Returns how many requests wait.
    #[cfg(test)]
    pub(super) fn parked(&self) -> usize {
        self.traffic.parked()
    }

    /// Returns how many requests are being answered.
    #[cfg(test)]
    pub(super) fn in_flight(&self) -> usize {
        self.traffic.in_flight()
    }
}

/// Closes the connections to runs that end, as soon as that is known.
async fn follow(
    mut routes: watch::Receiver<Arc<RouteTable>>,
    traffic: Rc<Traffic>,
    rings: Rc<ExchangeRings>,
    close: watch::Sender<bool>,
) {
    while routes.changed().await.is_ok() {
        let table = routes.borrow_and_update().clone();
        traffic.follow(&table);
        rings.follow(&table);
    }
    close.send_replace(true);
}

/// A connection whose first bytes have arrived.
enum BegunStream {
    Plain(SharedStream),
    /// With the name that the client asked for.
    Tls(Box<TlsStream<SharedStream>>, String),
}

/// Runs the tasks of HTTP/2 connections on this thread.
#[derive(Clone)]
pub(super) struct LocalExecutor;

impl<F: Future<Output: 'static> + 'static> Executor<F> for LocalExecutor {
    fn execute(&self, task: F) {
        spawn_local(task);
    }
}

/// How many clients are connected.
#[derive(Default)]
struct ClientCount {
    now: Cell<usize>,
    /// The most since memory was last given back.
    most: Cell<usize>,
}

/// A client that is connected.
struct CountedClient(Rc<ClientCount>);

impl ClientCount {
    fn add(self: &Rc<ClientCount>) -> CountedClient {
        self.now.set(self.now.get() + 1);
        self.most.set(self.most.get().max(self.now.get()));
        CountedClient(self.clone())
    }

    /// Takes a client away. Returns whether a burst is over: most of its memory is then unused.
    fn remove(&self) -> bool {
        let now = self.now.get() - 1;
        self.now.set(now);
        let over = self.most.get() >= BURST && now <= self.most.get() / 2;
        if over {
            self.most.set(now);
        }
        over
    }
}

impl Drop for CountedClient {
    fn drop(&mut self) {
        if self.0.remove() {
            allocator::trim();
        }
    }
}

/// Answers what a client sends, in front of a service that answers with `response`. Returns what the
/// client gets.
#[cfg(fuzzing)]
pub(crate) async fn fuzz(
    routes_to: impl FnOnce(u16) -> RouteTable,
    request: &[u8],
    response: &[u8],
) -> Vec<u8> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    let service = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = service.local_addr().expect("an address").port();
    let (_routes, receiver) = watch::channel(Arc::new(routes_to(port)));
    let proxy = Rc::new(Proxy::new(receiver, mpsc::unbounded_channel().0, HttpsConfig::new(None)));
    let door = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let client = TcpStream::connect(door.local_addr().expect("an address")).await;
    let mut client = client.expect("a connection");
    let (accepted, peer) = door.accept().await.expect("it is connected");
    let answers = async {
        while let Ok((mut stream, _)) = service.accept().await {
            // The proxy may have seen enough of either.
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(response).await;
        }
    };
    let mut received = Vec::new();
    let asks = async {
        let (mut read, mut write) = client.split();
        let sends = async {
            let _ = write.write_all(request).await;
            // What is answered at all is answered before the proxy sees that the client has left.
            let silent = timeout(Duration::from_millis(2), std::future::pending::<()>());
            let _ = silent.await;
            let _ = write.shutdown().await;
        };
        let _ = tokio::join!(sends, read.read_to_end(&mut received));
    };
    tokio::select! {
        ((), ()) = async { tokio::join!(asks, proxy.serve(accepted, peer)) } => {}
        () = answers => {}
    }
    received
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_given_back_once_at_the_end_of_a_burst() {
        let count = Rc::new(ClientCount::default());
        let overs = |clients: usize| {
            let clients: Vec<CountedClient> = (0..clients).map(|_| count.add()).collect();
            let removed = clients.into_iter().map(|client| {
                let over = count.remove();
                std::mem::forget(client);
                over
            });
            removed.filter(|over| *over).count()
        };
        assert_eq!(overs(BURST - 1), 0);
        assert_eq!(overs(BURST), 1);
        // At the half, the quarter and so on, down to what is no burst.
        assert_eq!(overs(BURST * 8), 4);
        assert_eq!(count.now.get(), 0);
    }
}
