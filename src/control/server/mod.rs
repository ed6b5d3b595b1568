mod attach_session;
mod limits;
mod reserved_fds;
mod router;
mod stream_body;
mod upgrade;

pub(crate) use limits::ServerLimits;
pub(crate) use reserved_fds::ReservedFds;

use std::future::Future;
use std::io;
use std::os::unix::net::UnixListener as StdListener;
use std::pin::pin;
use std::time::Duration;

use hyper::StatusCode;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::model::{Message, MessageClass};
use crate::supervisor::SupervisorHandle;
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
    let routes = Router { handle, closing, limits, refuse: None, upgraded: UpgradeSlot::default() };
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
                let served = connections.len();
                if served < limits.connections + MAX_REFUSED {
                    let refuse = admit(&stream, &limits, served).err();
                    let upgraded = UpgradeSlot::default();
                    let routes = Router { refuse, upgraded, ..routes.clone() };
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

/// Returns an error for a client that is not admitted.
fn admit(stream: &UnixStream, limits: &ServerLimits, served: usize) -> Result<(), ApiError> {
    let peer = stream.peer_cred().map(|peer| peer.uid());
    if peer.as_ref().ok() != Some(&limits.uid) {
        let text = match peer {
            Ok(peer) => {
                format!("this stack belongs to user {}, but you are user {peer}", limits.uid)
            }
            Err(error) => format!("cannot identify the client: {error}"),
        };
        return Err(ApiError(StatusCode::FORBIDDEN, Message::new(MessageClass::Denied, text)));
    }
    if served >= limits.connections {
        let text = format!("too many clients: {}", limits.connections);
        let busy = Message::new(MessageClass::Limit, text).help("try again in a few seconds");
        return Err(ApiError(StatusCode::SERVICE_UNAVAILABLE, busy));
    }
    Ok(())
}

/// Serves one client until the connection ends.
async fn connection(stream: UnixStream, routes: Router) {
    let (mut closing, upgraded) = (routes.closing.clone(), routes.upgraded.clone());
    let attached_until = closing.clone();
    // An error means that the server is gone, which is closing as well.
    let closes = async move { drop(closing.wait_for(|closing| *closing).await) };
    let served = routes.refuse.is_none();
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
