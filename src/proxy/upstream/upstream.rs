use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep, timeout};

use super::upstream_connection::UpstreamConnection;
use crate::proxy::route::UpstreamId;

/// How long a connection may be idle and still be used. Servers close theirs after two seconds or
/// more: a request that meets the close would be lost.
const IDLE_TIME: Duration = Duration::from_secs(1);

/// How many idle connections are kept.
const IDLE_MAX: usize = 512;

/// How long connecting may take; a listener with a full queue does not respond.
const CONNECT_TIME: Duration = Duration::from_secs(10);

/// One run of a service, and the connections to it.
pub(in crate::proxy) struct Upstream {
    pub id: Arc<UpstreamId>,
    /// The newest one is last.
    idle: RefCell<Vec<IdleConnection>>,
    /// The connection that all requests share, in HTTP/2.
    shared: RefCell<Option<UpstreamConnection>>,
    /// Whether a task closes connections that are idle for too long.
    closing: Cell<bool>,
    in_flight: Cell<usize>,
    /// Whether the run takes no requests any more.
    retired: watch::Sender<bool>,
}

struct IdleConnection {
    connection: UpstreamConnection,
    since: Instant,
}

impl Upstream {
    pub fn new(id: Arc<UpstreamId>) -> Rc<Upstream> {
        Rc::new(Upstream {
            id,
            idle: RefCell::default(),
            shared: RefCell::default(),
            closing: Cell::new(false),
            in_flight: Cell::new(0),
            retired: watch::Sender::new(false),
        })
    }

    /// Returns how many requests it is answering.
    pub fn in_flight(&self) -> usize {
        self.in_flight.get()
    }

    /// Closes idle connections, so that the service can stop; others when they have become idle.
    pub fn retire(&self) {
        self.retired.send_replace(true);
        self.idle.take();
        self.shared.take();
    }

    fn is_retired(&self) -> bool {
        *self.retired.borrow()
    }

    /// Waits until the run takes no requests any more.
    pub fn retired(&self) -> impl Future<Output = ()> + use<> {
        let mut retired = self.retired.subscribe();
        async move {
            // An error means that nobody can send to it.
            let _ = retired.wait_for(|retired| *retired).await;
        }
    }

    /// Counts a request until the result is dropped.
    pub fn count(self: &Rc<Upstream>) -> InFlight {
        self.in_flight.set(self.in_flight.get() + 1);
        InFlight(self.clone())
    }

    /// Returns an open connection that can take another request.
    pub fn reuse(&self) -> Option<UpstreamConnection> {
        let shared = self.shared.borrow();
        if let Some(open) = shared.as_ref().filter(|shared| shared.is_ready()) {
            return open.share();
        }
        let mut idle = self.idle.borrow_mut();
        while let Some(newest) = idle.pop() {
            if newest.since.elapsed() < IDLE_TIME && newest.connection.is_ready() {
                return Some(newest.connection);
            }
        }
        None
    }

    /// Opens a connection.
    pub async fn connect(&self) -> io::Result<UpstreamConnection> {
        let connecting = timeout(CONNECT_TIME, TcpStream::connect(&self.id.addresses[..]));
        let stream = connecting.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        let connection = UpstreamConnection::open(stream, self.id.http2).await?;
        if !self.is_retired() {
            *self.shared.borrow_mut() = connection.share();
        }
        Ok(connection)
    }

    /// Keeps a connection for further requests once its response has been read.
    pub fn give_back(self: &Rc<Upstream>, mut connection: UpstreamConnection) {
        if connection.share().is_some() {
            return;
        }
        if connection.is_ready() {
            return self.keep(connection);
        }
        let upstream = self.clone();
        spawn_local(async move {
            if connection.becomes_idle().await {
                upstream.keep(connection);
            }
        });
    }

    fn keep(self: &Rc<Upstream>, connection: UpstreamConnection) {
        if !self.is_retired() && self.idle.borrow().len() < IDLE_MAX {
            let idle = IdleConnection { connection, since: Instant::now() };
            self.idle.borrow_mut().push(idle);
            self.close_idle();
        }
    }

    /// Closes connections that have been idle for too long: a server with one thread may have to wait
    /// for that before it accepts another one.
    fn close_idle(self: &Rc<Upstream>) {
        if self.closing.replace(true) {
            return;
        }
        let upstream = self.clone();
        spawn_local(async move {
            while !upstream.idle.borrow().is_empty() {
                sleep(IDLE_TIME).await;
                upstream.idle.borrow_mut().retain(|idle| idle.since.elapsed() < IDLE_TIME);
            }
            upstream.closing.set(false);
        });
    }
}

/// A request that an upstream is answering.
pub(in crate::proxy) struct InFlight(Rc<Upstream>);

impl InFlight {
    /// Returns what answers it.
    pub fn upstream(&self) -> &Rc<Upstream> {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.set(self.0.in_flight.get() - 1);
    }
}
