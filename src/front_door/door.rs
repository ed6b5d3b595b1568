//! The process of the front door.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::net::UnixListener;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{Instant, sleep, timeout};

use super::door_files::{DoorFiles, write_label};
use super::door_protocol::{DoorJoin, DoorReply, DoorRequest};
use super::door_state::{DoorState, JoinedStack};
use super::door_stream::DoorStream;
use super::exchange_feed::send_exchanges;
use super::failed_lines::add_last_lines;
use super::network_watch::NetworkWatch;
use super::waker;
use crate::control::ControlClient;
use crate::https::HttpsConfig;
use crate::model::Snapshot;
use crate::proxy::{OwnPage, Proxy, RouteTable, Sleep};
use crate::sys::private_socket::listen_privately;

/// How long the first stack may take to join.
const FIRST_JOIN: Duration = Duration::from_secs(5);
/// How long the sockets of an earlier front door may take to come from another stack.
const TAKE_OVER: Duration = Duration::from_secs(1);
const TAKE_OVER_PAUSE: Duration = Duration::from_millis(20);
/// How long connections wait in the kernel for stacks of an earlier front door.
const PEER_LIMIT: Duration = Duration::from_millis(500);
/// How long a stack may take to say what it serves before it counts as served.
const FIRST_SNAPSHOT: Duration = Duration::from_secs(1);
/// Delay before a stack whose events have ended is asked again, and after a failed accept.
const PAUSE: Duration = Duration::from_millis(50);

/// Serves as the front door of this user until the last stack has left, with `https` as long as there
/// is a local CA, and with a page of its own. Returns at once if there is one already.
///
/// # Errors
/// The files in the runtime directory cannot be used.
pub async fn serve(
    files: &DoorFiles,
    https: HttpsConfig,
    own_page: Option<Rc<dyn OwnPage>>,
) -> io::Result<()> {
    let Some(lock) = files.take_lock().await? else { return Ok(()) };
    let held = lock.try_clone()?;
    let socket = files.socket();
    let listener = UnixListener::from_std(listen_privately(&socket)?)?;
    let serve = async {
        let (wakes, asked) = mpsc::unbounded_channel();
        FrontDoor::new(lock, wakes, https, own_page).run(listener, asked).await;
    };
    LocalSet::new().run_until(serve).await;
    // While the lock is held: the next front door makes its own.
    std::fs::remove_file(&socket)?;
    drop(held);
    Ok(())
}

/// What the tasks of the process share.
struct FrontDoor {
    state: RefCell<DoorState>,
    networks: RefCell<NetworkWatch>,
    routes: watch::Sender<Arc<RouteTable>>,
    proxy: Rc<Proxy>,
    /// Counts changes of what stacks are told.
    changes: watch::Sender<u64>,
    /// Whether connections are accepted.
    open: watch::Sender<bool>,
    last_left: Notify,
    lock: File,
    began: Instant,
}

impl FrontDoor {
    fn new(
        lock: File,
        wakes: mpsc::UnboundedSender<Arc<Sleep>>,
        https: HttpsConfig,
        own_page: Option<Rc<dyn OwnPage>>,
    ) -> Rc<FrontDoor> {
        let routes = watch::Sender::new(Arc::new(RouteTable::new([])));
        let proxy = Proxy::new(routes.subscribe(), wakes, https).with_own_page(own_page);
        let proxy = Rc::new(proxy);
        Rc::new(FrontDoor {
            state: RefCell::default(),
            networks: RefCell::default(),
            routes,
            proxy,
            changes: watch::Sender::new(0),
            open: watch::Sender::new(false),
            last_left: Notify::new(),
            lock,
            began: Instant::now(),
        })
    }

    async fn run(
        self: Rc<Self>,
        listener: UnixListener,
        mut asked: mpsc::UnboundedReceiver<Arc<Sleep>>,
    ) {
        let nobody = async {
            sleep(FIRST_JOIN).await;
            if self.state.borrow().joined > 0 {
                std::future::pending().await
            }
        };
        tokio::pin!(nobody);
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        spawn_local(self.clone().client(DoorStream::new(stream)));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a stack");
                        sleep(PAUSE).await;
                    }
                },
                Some(asleep) = asked.recv() => {
                    spawn_local(self.clone().wake(asleep));
                }
                () = self.last_left.notified() => {
                    if self.state.borrow().stacks.is_empty() {
                        return;
                    }
                }
                () = &mut nobody => return,
            }
        }
    }

    async fn client(self: Rc<Self>, mut stream: DoorStream) {
        if stream.peer_uid().ok() != Some(rustix::process::geteuid().as_raw()) {
            return;
        }
        let reply = match stream.receive().await {
            Ok(Some(DoorRequest::Join(join))) => return self.member(stream, join).await,
            Ok(Some(DoorRequest::Front { socket, port })) => self.give_front(&socket, port),
            Ok(Some(DoorRequest::Exchanges(query))) => {
                let ring = self.proxy.exchanges(&query.domain);
                // As below.
                let _ = send_exchanges(&mut stream, ring, &query).await;
                return;
            }
            Ok(Some(DoorRequest::Status)) => {
                let own_page = self.proxy.serves_own_page();
                DoorReply::Status(self.state.borrow().status(own_page))
            }
            Ok(None) => return,
            Err(error) => DoorReply::Refused { text: error.to_string() },
        };
        // The client may have left.
        let _ = stream.send(&reply, &[]).await;
    }

    /// Serves a stack until its connection closes.
    async fn member(self: Rc<Self>, mut stream: DoorStream, join: DoorJoin) {
        let copies = stream.take_descriptors(join.descriptors);
        let id = {
            let mut state = self.state.borrow_mut();
            state.ports.adopt(copies, |listener| self.clone().accept(listener));
            state.expected.extend(join.peers.iter().cloned());
            state.joined += 1;
            state.joined
        };
        if id == 1 {
            let door = self.clone();
            spawn_local(async move {
                sleep(PEER_LIMIT).await;
                door.open.send_replace(true);
            });
        }
        if let Err(error) = self.open_port(join.port).await {
            let text = format!("cannot listen on port {}: {error}", join.port);
            let _ = stream.send(&DoorReply::Refused { text }, &[]).await;
            return self.leave_if_empty();
        }
        {
            let mut state = self.state.borrow_mut();
            join.fronts.iter().for_each(|port| state.fronts.give(*port, &join.socket));
            let stack =
                JoinedStack { socket: join.socket.clone(), port: join.port, snapshot: None };
            state.stacks.insert(id, stack);
        }
        self.write_label();
        let (tell, told) = oneshot::channel();
        let follower = spawn_local(self.clone().follow(id, join.socket.clone(), tell));
        // An error means that it cannot say what it serves.
        let _ = timeout(FIRST_SNAPSHOT, told).await;
        self.has_come(&join.socket);
        self.tell_all();
        let mut changes = self.changes.subscribe();
        changes.mark_changed();
        loop {
            tokio::select! {
                // It sends nothing more, so this is the end, however it comes.
                _ = stream.receive::<DoorRequest>() => break,
                _ = changes.changed() => {
                    let (reply, sockets) = self.state.borrow().serving(id);
                    let copies: Vec<_> = sockets.iter().map(|socket| socket.as_fd()).collect();
                    if stream.send(&reply, &copies).await.is_err() {
                        break;
                    }
                }
            }
        }
        follower.abort();
        self.state.borrow_mut().stacks.remove(&id);
        self.leave_if_empty();
        self.update_routes();
        self.tell_all();
    }

    fn leave_if_empty(&self) {
        if self.state.borrow().stacks.is_empty() {
            self.last_left.notify_one();
        }
    }

    /// Listens on the port of a stack. Another stack may still have the socket of an earlier front
    /// door, so a young one waits for it.
    async fn open_port(self: &Rc<Self>, port: u16) -> io::Result<()> {
        loop {
            let opened =
                self.state.borrow_mut().ports.open(port, |listener| self.clone().accept(listener));
            match opened {
                Err(error)
                    if error.kind() == io::ErrorKind::AddrInUse
                        && self.began.elapsed() < TAKE_OVER =>
                {
                    sleep(TAKE_OVER_PAUSE).await;
                }
                other => return other,
            }
        }
    }

    async fn accept(self: Rc<Self>, listener: tokio::net::TcpListener) {
        let mut open = self.open.subscribe();
        // The sender lives as long as this task.
        let _ = open.wait_for(|open| *open).await;
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    spawn_local(self.proxy.clone().serve(stream, peer));
                }
                Err(error) => {
                    tracing::debug!(%error, "cannot accept a connection");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Keeps the snapshot of a stack current. Reports once the first one is there, or cannot come.
    async fn follow(self: Rc<Self>, id: u64, socket: PathBuf, first: oneshot::Sender<()>) {
        let client = ControlClient::at(&socket);
        let mut first = Some(first);
        loop {
            if let Ok(mut lines) = client.events().await {
                while let Ok(Some(batch)) = lines.next().await {
                    let known =
                        self.state.borrow().stacks.get(&id).and_then(|it| it.snapshot.clone());
                    if !batch.iter().any(|line| concerns(known.as_deref(), line)) {
                        continue;
                    }
                    let Ok(mut snapshot) = client.stack().await else { break };
                    add_last_lines(&client, known.as_deref(), &mut snapshot).await;
                    if let Some(stack) = self.state.borrow_mut().stacks.get_mut(&id) {
                        stack.snapshot = Some(Arc::new(snapshot));
                    }
                    self.update_routes();
                    if let Some(first) = first.take() {
                        // It may not wait any more.
                        let _ = first.send(());
                    }
                }
            }
            first.take();
            sleep(PAUSE).await;
        }
    }

    async fn wake(self: Rc<Self>, asleep: Arc<Sleep>) {
        let socket_of = |asleep: &Sleep| {
            let state = self.state.borrow();
            let shows = |stack: &&JoinedStack| {
                stack.snapshot.as_ref().is_some_and(|snapshot| waker::shows(snapshot, asleep))
            };
            state.stacks.values().find(shows).map(|stack| stack.socket.clone())
        };
        waker::wake(&asleep, socket_of).await;
    }

    /// Opens the door once all expected stacks have come.
    fn has_come(&self, socket: &Path) {
        let mut state = self.state.borrow_mut();
        state.expected.remove(socket);
        if state.expected.is_empty() {
            self.open.send_replace(true);
        }
    }

    /// Makes routes, front ports and sockets fit the snapshots.
    fn update_routes(self: &Rc<Self>) {
        let (changed, table, is_open) = {
            let mut state = self.state.borrow_mut();
            let changed = state.settle(|listener| self.clone().accept(listener));
            (changed, state.routes(), state.is_open())
        };
        self.routes.send_replace(Arc::new(table));
        self.networks.borrow_mut().follow(is_open, || {
            let door = Rc::downgrade(self);
            Box::new(move || {
                if let Some(door) = door.upgrade() {
                    door.update_routes();
                }
            })
        });
        if changed {
            self.tell_all();
        }
    }

    fn give_front(self: &Rc<Self>, socket: &Path, port: u16) -> DoorReply {
        let refused = |text| DoorReply::Refused { text };
        {
            let mut state = self.state.borrow_mut();
            if !state.stacks.values().any(|stack| stack.socket == socket) {
                return refused("the stack has no service that is ready and has a name".to_owned());
            }
            if let Err(error) = state.ports.open(port, |listener| self.clone().accept(listener)) {
                return refused(format!("cannot listen on port {port}: {error}"));
            }
            state.fronts.give(port, socket);
        }
        self.update_routes();
        self.tell_all();
        DoorReply::Done
    }

    fn tell_all(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// Says in the lock file where the next stack gets its names.
    fn write_label(&self) {
        let state = self.state.borrow();
        let Some(first) = state.stacks.values().next() else { return };
        if let Err(error) = write_label(&self.lock, &format!("{}\n", first.port)) {
            tracing::debug!(%error, "cannot write the lock file");
        }
    }
}

/// Whether a line of the events of a stack may change its routes, given what is known of it.
fn concerns(known: Option<&Snapshot>, line: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct EventHead {
        service: Option<String>,
    }
    let head = serde_json::from_slice::<EventHead>(line).ok();
    let (Some(known), Some(name)) = (known, head.and_then(|head| head.service)) else {
        return true;
    };
    let view = known.services.iter().find(|view| view.name.as_str() == name);
    view.is_none_or(|view| view.proxy.is_some())
}
