use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// How often to look whether a client has left while unread bytes of it hide that.
const LOOK: Duration = Duration::from_millis(250);

/// Who sends requests over a connection.
pub(super) struct ProxyClient {
    stream: Arc<TcpStream>,
    /// The name in the handshake, in lower case. `None`: it speaks plain HTTP.
    pub tls_name: Option<String>,
    /// Its address.
    pub ip: IpAddr,
    /// Where it reached the proxy.
    pub reached: SocketAddr,
}

impl ProxyClient {
    /// Returns the client and its connection for hyper. An error means that the client has left.
    pub fn new(stream: TcpStream, peer: SocketAddr) -> io::Result<(ProxyClient, ClientStream)> {
        // Without, small responses are delayed by 40 ms.
        stream.set_nodelay(true)?;
        let local = stream.local_addr()?;
        let reached = SocketAddr::new(local.ip().to_canonical(), local.port());
        let stream = Arc::new(stream);
        let ip = peer.ip().to_canonical();
        let client = ProxyClient { stream: stream.clone(), tls_name: None, ip, reached };
        Ok((client, ClientStream(stream)))
    }

    /// Whether it may be on another machine.
    pub fn is_remote(&self) -> bool {
        !(self.ip.is_loopback() && self.reached.ip().is_loopback())
    }

    /// Returns the scheme of its requests.
    pub fn scheme(&self) -> &'static str {
        if self.tls_name.is_some() { "https" } else { "http" }
    }

    /// Resolves when the client has closed its side. hyper sees that only after it has read the body.
    pub async fn left(&self) {
        loop {
            match self.stream.ready(Interest::READABLE).await {
                Ok(ready) if !ready.is_read_closed() => tokio::time::sleep(LOOK).await,
                Ok(_) | Err(_) => return,
            }
        }
    }
}

/// The connection of a client, shared with [`ProxyClient`]. Only hyper or TLS below it reads and
/// writes.
pub(super) struct ClientStream(Arc<TcpStream>);

impl ClientStream {
    /// Waits for the first byte and leaves it there. `None`: nothing will come.
    pub async fn first_byte(&self) -> io::Result<Option<u8>> {
        let mut first = [0];
        let read = self.0.peek(&mut first).await?;
        Ok((read > 0).then_some(first[0]))
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.0.poll_read_ready(cx))?;
            match self.0.try_read_buf(buf) {
                Ok(_) => return Poll::Ready(Ok(())),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl ClientStream {
    fn poll_try(
        &self,
        cx: &mut Context<'_>,
        mut write: impl FnMut(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.poll_write_ready(cx))?;
            match write(&self.0) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_try(cx, |stream| stream.try_write(buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_try(cx, |stream| stream.try_write_vectored(bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        rustix::net::shutdown(&self.0, rustix::net::Shutdown::Write)?;
        Poll::Ready(Ok(()))
    }
}
