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

use super::LogSource;
use super::limits::Limits;
use super::routes::{No, Routes};
use super::spare::Spare;
use super::upgraded::Upgraded;
use crate::model::{Class, Message};
use crate::runtime::handle::Handle;

/// How many clients beyond those that are served are told why they are not. Others are closed
/// without a word.
const MAX_REFUSED: usize = 64;
/// The pause after a connection that could not be accepted, most often for want of descriptors when none is spare.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Answers on `listener`, which must be non-blocking, until `shutdown` resolves; then finishes the
/// answers under way within a second. An error only when the listener cannot be used at all. What is kept for clients
/// is kept from this call on, before the first service takes its share.
pub fn serve<L: LogSource>(
    listener: StdListener,
    handle: Handle,
    logs: L,
    shutdown: impl Future<Output = ()>,
) -> impl Future<Output = io::Result<()>> {
    let spare = Spare::filled();
    serve_within(Limits::of_this_user(), spare, listener, handle, logs, shutdown)
}

/// [`serve`] with other limits.
pub(super) async fn serve_within<L: LogSource>(
    limits: Limits,
    mut spare: Spare,
    listener: StdListener,
    handle: Handle,
    logs: L,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let listener = UnixListener::from_std(listener)?;
    let (close, closing) = watch::channel(false);
    let routes =
        Routes { handle, logs, closing, limits, refuse: None, upgraded: Upgraded::default() };
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let turn = tokio::select! {
            biased;
            () = &mut shutdown => Turn::Close,
            Some(_) = connections.join_next() => Turn::Ended,
            accepted = listener.accept() => Turn::Came(accepted.map(|(stream, _)| stream)),
        };
        match turn {
            Turn::Close => break,
            Turn::Ended => spare.fill(),
            Turn::Came(Err(error)) if spare.make_room(&error) => {}
            Turn::Came(Err(error)) => {
                tracing::warn!(%error, "cannot accept a client");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            Turn::Came(Ok(stream)) => {
                let served = connections.len();
                if served < limits.connections + MAX_REFUSED {
                    let refuse = admit(&stream, &limits, served).err();
                    let upgraded = Upgraded::default();
                    let routes = Routes { refuse, upgraded, ..routes.clone() };
                    connections.spawn(connection(stream, routes));
                }
            }
        }
    }
    // Nobody new; and a connection that waits to be accepted ends at once.
    drop(listener);
    close.send_replace(true);
    let finish = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.close_time, finish).await.is_err() {
        tracing::debug!("clients did not read their answers in time");
    }
    // Dropping the set ends those that are left.
    Ok(())
}

/// What the loop has to do next.
enum Turn {
    /// Shutdown was asked for.
    Close,
    /// A connection ended.
    Ended,
    /// A client came, or could not.
    Came(io::Result<UnixStream>),
}

/// Whether a client is let in.
fn admit(stream: &UnixStream, limits: &Limits, served: usize) -> Result<(), No> {
    let peer = stream.peer_cred().map(|peer| peer.uid());
    if peer.as_ref().ok() != Some(&limits.uid) {
        let text = match peer {
            Ok(peer) => format!("this stack belongs to user {}; you are user {peer}", limits.uid),
            Err(error) => format!("cannot see who asks: {error}"),
        };
        return Err(No(StatusCode::FORBIDDEN, Message::new(Class::Denied, text)));
    }
    if served >= limits.connections {
        let text = format!("the devstack serves {} clients already", limits.connections);
        let busy = Message::new(Class::Limit, text).help("try again in some seconds");
        return Err(No(StatusCode::SERVICE_UNAVAILABLE, busy));
    }
    Ok(())
}

/// Serves one client to its end, whatever it sends.
async fn connection<L: LogSource>(stream: UnixStream, routes: Routes<L>) {
    let (mut closing, upgraded) = (routes.closing.clone(), routes.upgraded.clone());
    let attached_until = closing.clone();
    // An error means that the server is gone: closing, too.
    let closes = async move { drop(closing.wait_for(|closing| *closing).await) };
    let served = routes.refuse.is_none();
    let head_time = routes.limits.head_time;
    let service = service_fn(move |request| routes.clone().answer(request));
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(head_time)
            .keep_alive(served)
            .max_buf_size(Limits::BUFFER)
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
        tracing::debug!(%error, "a client's connection broke");
    }
    if let Some(session) = upgraded.take() {
        session.serve(attached_until).await;
    }
}
