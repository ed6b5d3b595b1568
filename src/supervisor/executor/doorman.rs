//! Listens for one lazy service.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::engine::Input;
use crate::model::Name;

/// How long a client waits for the service, like a request to the proxy.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many clients may wait. The kernel keeps more in its queue, so that none is refused.
const MAX_WAITING: usize = 256;

/// How many connections one service may have; each takes two descriptors.
const MAX_CONNECTIONS: usize = 2048;

/// A ready service may open its port a little later, or has just exited. Also the pause when
/// devstack is out of descriptors.
const RETRY: Duration = Duration::from_millis(50);

/// What a doorman does with clients.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct DoorOrders {
    /// Where to pass connections on, the first address that accepts; empty: clients wait.
    pub places: Vec<SocketAddr>,
    /// Without a connection for this long, the service is unused.
    pub idle: Option<Duration>,
    /// How many reports of an unused service were answered.
    pub round: u64,
}

/// Accepts all connections to the port of a lazy service, and lets them wait or passes them on: no
/// client is refused at any time, and it is known exactly when the service was last used.
pub(super) struct Doorman {
    pub name: Name,
    pub orders: watch::Receiver<DoorOrders>,
    pub reports: mpsc::UnboundedSender<Input>,
}

impl Doorman {
    /// Serves until the orders end; then waiting clients are closed, and connections that were
    /// passed on remain.
    pub async fn serve(mut self, socket: OwnedFd) -> io::Result<()> {
        let listener = std::net::TcpListener::from(socket);
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let waiting = Arc::new(Semaphore::new(MAX_WAITING));
        let mut connections = JoinSet::new();
        // The round in which the service was reported as unused: until that is answered it may be
        // stopping, so clients wait.
        let mut shut = None;
        let mut unused_since = Instant::now();
        let (way, _) = watch::channel(Vec::new());
        loop {
            let orders = self.orders.borrow_and_update().clone();
            let places = if shut == Some(orders.round) { Vec::new() } else { orders.places };
            let is_open = !places.is_empty();
            let opens = way.send_if_modified(|old| {
                let changed = *old != places;
                *old = places;
                changed
            });
            if opens && is_open {
                unused_since = Instant::now();
            }
            let idle = orders.idle.filter(|_| is_open && connections.is_empty());
            let unused = async {
                match idle {
                    Some(idle) => sleep_until(unused_since + idle).await,
                    None => std::future::pending().await,
                }
            };
            let has_room = connections.len() < MAX_CONNECTIONS;
            tokio::select! {
                // Orders first, and clients before it is too late for them.
                biased;
                changed = self.orders.changed() => if changed.is_err() { break },
                Some(_) = connections.join_next() => unused_since = Instant::now(),
                accepted = accept(&listener, &waiting), if has_room => match accepted {
                    Ok((client, place)) => {
                        if !is_open {
                            self.report(Input::Connected(self.name.clone()));
                        }
                        connections.spawn(pass_on(client, place, way.subscribe()));
                    }
                    Err(_) => sleep(RETRY).await,
                },
                () = unused => {
                    shut = Some(orders.round);
                    self.report(Input::Unused(self.name.clone()));
                }
            }
        }
        connections.detach_all();
        Ok(())
    }

    fn report(&self, input: Input) {
        // Without a receiver the stack is shutting down.
        let _ = self.reports.send(input);
    }
}

async fn accept(
    listener: &TcpListener,
    waiting: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let place = waiting.clone().acquire_owned().await.map_err(io::Error::other)?;
    Ok((listener.accept().await?.0, place))
}

/// Lets a client wait for the service, and copies both ways until both sides have closed.
async fn pass_on(
    mut client: TcpStream,
    place: OwnedSemaphorePermit,
    way: watch::Receiver<Vec<SocketAddr>>,
) {
    // Closing the connection is all that can be said in a protocol that is not known.
    let Ok(Some(mut server)) = timeout(PATIENCE, reach(way)).await else { return };
    drop(place);
    // Small pieces must arrive at once.
    let _ = client.set_nodelay(true).and(server.set_nodelay(true));
    // An error ends the connection for both sides.
    let _ = copy_bidirectional(&mut client, &mut server).await;
}

/// Connects to the service once it takes connections. `None`: it will not.
async fn reach(mut way: watch::Receiver<Vec<SocketAddr>>) -> Option<TcpStream> {
    loop {
        let places = way.wait_for(|places| !places.is_empty()).await.ok()?.clone();
        if let Ok(server) = TcpStream::connect(&*places).await {
            return Some(server);
        }
        sleep(RETRY).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// A doorman, and a server behind it that sends back whatever it reads.
    struct Scene {
        orders: watch::Sender<DoorOrders>,
        reports: mpsc::UnboundedReceiver<Input>,
        door: SocketAddr,
        inner: SocketAddr,
    }

    impl Scene {
        async fn new() -> Scene {
            let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let door = socket.local_addr().unwrap();
            let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let inner = server.local_addr().unwrap();
            tokio::spawn(async move {
                while let Ok((mut client, _)) = server.accept().await {
                    tokio::spawn(async move {
                        let (mut from, mut to) = client.split();
                        tokio::io::copy(&mut from, &mut to).await
                    });
                }
            });
            let (orders, given) = watch::channel(DoorOrders::default());
            let (tell, reports) = mpsc::unbounded_channel();
            let name = Name::new("api").unwrap();
            let doorman = Doorman { name, orders: given, reports: tell };
            tokio::spawn(doorman.serve(socket.into()));
            Scene { orders, reports, door, inner }
        }

        fn order(&self, places: &[SocketAddr], idle: Option<Duration>, round: u64) {
            self.orders.send_replace(DoorOrders { places: places.to_vec(), idle, round });
        }
    }

    async fn echo(client: &mut TcpStream) {
        client.write_all(b"hello").await.unwrap();
        let mut back = [0; 5];
        client.read_exact(&mut back).await.unwrap();
        assert_eq!(&back, b"hello");
    }

    fn connected() -> Input {
        Input::Connected(Name::new("api").unwrap())
    }

    fn unused() -> Input {
        Input::Unused(Name::new("api").unwrap())
    }

    #[tokio::test]
    async fn clients_wait_until_the_service_takes_them() {
        let mut scene = Scene::new().await;
        let mut early = TcpStream::connect(scene.door).await.unwrap();
        early.write_all(b"hello").await.unwrap();
        assert_eq!(scene.reports.recv().await, Some(connected()));
        // Nobody listens at the first place, as before a program has opened its port.
        let nobody = "127.0.0.1:1".parse().unwrap();
        scene.order(&[nobody, scene.inner], None, 0);
        let mut back = [0; 5];
        early.read_exact(&mut back).await.unwrap();
        assert_eq!(&back, b"hello");
        // The end of one direction is passed on, and the other goes on.
        early.shutdown().await.unwrap();
        assert_eq!(early.read(&mut back).await.unwrap(), 0);
        let mut later = TcpStream::connect(scene.door).await.unwrap();
        echo(&mut later).await;
        assert!(scene.reports.try_recv().is_err(), "it is awake");
    }

    #[tokio::test]
    async fn more_than_may_wait_are_kept_and_served() {
        let scene = Scene::new().await;
        let mut clients = Vec::new();
        for _ in 0..MAX_WAITING + 50 {
            clients.push(TcpStream::connect(scene.door).await.unwrap());
        }
        scene.order(&[scene.inner], None, 0);
        for client in &mut clients {
            echo(client).await;
        }
    }

    #[tokio::test]
    async fn it_is_unused_only_without_connections_and_then_lets_clients_wait() {
        let mut scene = Scene::new().await;
        scene.order(&[scene.inner], None, 0);
        let mut client = TcpStream::connect(scene.door).await.unwrap();
        echo(&mut client).await;
        let idle = Some(Duration::from_millis(1));
        scene.order(&[scene.inner], idle, 0);
        for _ in 0..200 {
            echo(&mut client).await;
        }
        assert!(scene.reports.try_recv().is_err(), "it is in use");
        drop(client);
        assert_eq!(scene.reports.recv().await, Some(unused()));
        // Until that is answered, whoever comes waits and is told of.
        let mut late = TcpStream::connect(scene.door).await.unwrap();
        assert_eq!(scene.reports.recv().await, Some(connected()));
        scene.order(&[scene.inner], None, 0);
        late.write_all(b"hello").await.unwrap();
        scene.order(&[scene.inner], None, 1);
        let mut back = [0; 5];
        late.read_exact(&mut back).await.unwrap();
    }

    #[tokio::test]
    async fn without_orders_waiting_clients_are_closed_and_others_go_on() {
        let mut scene = Scene::new().await;
        scene.order(&[scene.inner], None, 0);
        let mut served = TcpStream::connect(scene.door).await.unwrap();
        echo(&mut served).await;
        scene.order(&[], None, 0);
        let mut waiting = TcpStream::connect(scene.door).await.unwrap();
        assert_eq!(scene.reports.recv().await, Some(connected()));
        let Scene { orders, .. } = scene;
        drop(orders);
        assert_eq!(waiting.read(&mut [0; 1]).await.unwrap(), 0);
        echo(&mut served).await;
    }
}
