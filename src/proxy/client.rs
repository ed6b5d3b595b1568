use std::cell::OnceCell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpStream;

use super::shared_stream::{SharedStream, StreamHandle};
use crate::sys::sockets::connection_user;

/// How often to look whether a client has left while unread bytes of it hide that.
const LOOK: Duration = Duration::from_millis(250);

/// The sender of requests over a connection. Only hyper or TLS below it reads and writes.
pub(super) struct ProxyClient {
    stream: SharedStream,
    /// The name in the handshake, in lower case. `None`: it speaks plain HTTP.
    pub tls_name: Option<String>,
    /// Its address.
    pub ip: IpAddr,
    pub reached: SocketAddr,
    peer: SocketAddr,
    /// Whether it is of the same user, once that was asked.
    own: OnceCell<bool>,
}

impl ProxyClient {
    /// Returns the client and its connection for hyper. An error means that the client has left.
    pub fn new(stream: TcpStream, peer: SocketAddr) -> io::Result<(ProxyClient, SharedStream)> {
        let local = stream.local_addr()?;
        let reached = SocketAddr::new(local.ip().to_canonical(), local.port());
        let stream = SharedStream::new(stream)?;
        let ip = peer.ip().to_canonical();
        let peer = SocketAddr::new(ip, peer.port());
        let own = OnceCell::new();
        let client = ProxyClient { stream: stream.clone(), tls_name: None, ip, reached, peer, own };
        Ok((client, stream))
    }

    /// Whether it may be on another machine.
    pub fn is_remote(&self) -> bool {
        !(self.ip.is_loopback() && self.reached.ip().is_loopback())
    }

    /// Whether it may see what concerns only the user of the stacks: it is of this user,
    /// or of root. The others of this machine reach loopback, too. Takes a few system calls, once.
    pub fn is_own(&self) -> bool {
        let ask = || may_see(connection_user(self.peer, self.reached));
        !self.is_remote() && *self.own.get_or_init(ask)
    }

    /// Returns the scheme of its requests.
    pub fn scheme(&self) -> &'static str {
        if self.tls_name.is_some() { "https" } else { "http" }
    }

    /// Returns what reaches its connection.
    pub fn handle(&self) -> StreamHandle {
        self.stream.handle()
    }

    /// Resolves when the client has closed its side. hyper sees that only after it has read the body.
    pub async fn left(&self) {
        while !self.stream.read_closed().await {
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// Whether the user of a connection may. Unknown ones may not.
fn may_see(user: Option<u32>) -> bool {
    user.is_some_and(|user| user == 0 || user == rustix::process::geteuid().as_raw())
}
