mod attach_session;
mod client_table;
mod follower_thread;
mod limits;
mod read_ahead;
mod request_body;
mod reserved_fds;
pub(crate) mod router;
mod stream_body;
mod upgrade;

pub(crate) use limits::ServerLimits;
pub(crate) use reserved_fds::ReservedFds;

use std::future::Future;
use std::io;
use std::os::unix::net::UnixListener as StdListener;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::model::{Message, MessageClass};
use crate::supervisor::SupervisorHandle;
use client_table::{ClientPlace, ClientTable};
use follower_thread::FollowerThread;
use read_ahead::read_ahead;
use router::{ApiError, Router};
use upgrade::UpgradeSlot;

/// How many clients beyond the limit get an error response. Further ones are closed without one.
const MAX_REFUSED: usize = 64;
/// Delay after a failed accept, usually for lack of file descriptors with none left in reserve.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `listener`, which must be non-blocking, until `shutdown` resolves, then gives responses a
/// second to finish. Descriptors for clients are reserved at once, before services take theirs.
pub fn serve(
    listener: StdListener,
    handle: SupervisorHandle,
    shutdown: impl Future<Output = ()>,
) -> impl Future<Output = io::Result<()>> {
    let spare = ReservedFds::filled();
    serve_within(ServerLimits::of_this_user(), spare, listener, handle, shutdown)
}

/// Like [`serve`], with custom limits.
pub(super) async fn serve_within(
    limits: ServerLimits,
    mut spare: ReservedFds,
    listener: StdListener,
    handle: SupervisorHandle,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let listener = UnixListener::from_std(listener)?;
    let (close, closing) = watch::channel(false);
    let (clients, followers) = (ClientTable::new(limits), FollowerThread::default());
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let turn = tokio::select! {
            biased;
            () = &mut shutdown => ServerInput::Close,
            Some(_) = connections.join_next() => ServerInput::Ended,
            accepted = listener.accept() => ServerInput::Came(accepted.map(|(stream, _)| stream)),
        };
        match turn {
            ServerInput::Close => break,
            ServerInput::Ended => spare.refill(),
            ServerInput::Came(Err(error)) if spare.release_one(&error) => {}
            ServerInput::Came(Err(error)) => {
                tracing::warn!(%error, "cannot accept a client");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            ServerInput::Came(Ok(stream)) => {
                if connections.len() >= limits.connections {
                    // Lets those that had to make room end.
                    tokio::task::yield_now().await;
                    while connections.try_join_next().is_some() {}
                }
                if connections.len() < limits.connections + MAX_REFUSED {
                    let (handle, closing) = (handle.clone(), closing.clone());
                    let place = admit(&stream, &limits, &clients).map(Arc::new);
                    let (upgraded, followers) = (UpgradeSlot::default(), followers.clone());
                    let routes = Router { handle, closing, limits, place, followers, upgraded };
                    connections.spawn(connection(stream, routes));
                }
            }
        }
    }
    // No new clients; connections in the accept queue close at once.
    drop(listener);
    close.send_replace(true);
    let finish = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.close_time, finish).await.is_err() {
        tracing::debug!("clients did not read their responses in time");
    }
    // Dropping the set aborts the remaining connections.
    Ok(())
}

enum ServerInput {
    Close,
    Ended,
    /// A client connected, or accepting it failed.
    Came(io::Result<UnixStream>),
}

/// Returns the place of a client, or an error if it is not admitted.
fn admit(
    stream: &UnixStream,
    limits: &ServerLimits,
    clients: &ClientTable,
) -> Result<ClientPlace, ApiError> {
    let denied = |text| ApiError(StatusCode::FORBIDDEN, Message::new(MessageClass::Denied, text));
    let peer = stream
        .peer_cred()
        .map_err(|error| denied(format!("cannot identify the client: {error}")))?;
    if peer.uid() != limits.uid {
        let (owner, user) = (limits.uid, peer.uid());
        return Err(denied(format!("this stack belongs to user {owner}, but you are user {user}")));
    }
    Ok(clients.admit(peer.pid())?)
}

/// Serves one client until the connection ends, the client has hung up or has to make room.
async fn connection(stream: UnixStream, routes: Router) {
    let (place, limits) = (routes.place.clone().ok(), routes.limits);
    let (read, write) = stream.into_split();
    let (from_client, ahead) = tokio::io::simplex(ServerLimits::BUFFER);
    let evicted = async {
        match &place {
            Some(place) => place.evicted().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = serve_client(tokio::io::join(from_client, write), routes) => {}
        () = read_ahead(read, ahead, limits.close_time) => {}
        () = evicted => {}
    }
}

async fn serve_client(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    routes: Router,
) {
    let (mut closing, upgraded) = (routes.closing.clone(), routes.upgraded.clone());
    let attached_until = closing.clone();
    // An error means that the server is gone, which is closing as well.
    let closes = async move { drop(closing.wait_for(|closing| *closing).await) };
    let served = routes.place.is_ok();
    let head_time = routes.limits.head_time;
    let service = service_fn(move |request| routes.clone().respond(request));
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(head_time)
            .keep_alive(served)
            .max_buf_size(ServerLimits::BUFFER)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades()
    );
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = closes => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "lost the connection to a client");
    }
    if let Some(session) = upgraded.take() {
        session.serve(attached_until).await;
    }
}

/// Serves a client that sends these bytes and then no more, without a supervisor.
#[cfg(fuzzing)]
pub(crate) async fn fuzz(handle: SupervisorHandle, bytes: &[u8]) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let limits = ServerLimits::of_this_user();
    let (close, closing) = watch::channel(false);
    let place = ClientTable::new(limits).admit(None).map(Arc::new).map_err(ApiError::from);
    let (followers, upgraded) = Default::default();
    let routes = Router { handle, closing, limits, place, followers, upgraded };
    let (server, client) = tokio::io::duplex(ServerLimits::BUFFER);
    let (mut read, mut write) = tokio::io::split(client);
    let sends = async {
        // The server may close before it has read everything.
        let _ = write.write_all(bytes).await;
        let _ = write.shutdown().await;
    };
    let mut response = Vec::new();
    let (_, received, ()) =
        tokio::join!(sends, read.read_to_end(&mut response), serve_client(server, routes));
    received.expect("the response can be read");
    assert!(response.is_empty() || response.starts_with(b"HTTP/1."), "{response:?}");
    drop(close);
}
