use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// A connection that one task reads and writes, while others look at its state.
#[derive(Clone)]
pub(super) struct SharedStream(Arc<StreamState>);

struct StreamState {
    stream: TcpStream,
    /// What waits for the head of a message.
    waiting: Mutex<Option<Waker>>,
    /// Whether something has arrived since it was polled.
    arrived: AtomicBool,
}

/// Reaches a stream as long as it is open.
#[derive(Clone)]
pub(super) struct StreamHandle(Weak<StreamState>);

impl SharedStream {
    /// An error means that the other end has left.
    pub fn new(stream: TcpStream) -> io::Result<SharedStream> {
        // What is written goes out at once, not after the other end has acknowledged the last part.
        stream.set_nodelay(true)?;
        let (waiting, arrived) = Default::default();
        Ok(SharedStream(Arc::new(StreamState { stream, waiting, arrived })))
    }

    /// Returns what reaches it without keeping it open.
    pub fn handle(&self) -> StreamHandle {
        StreamHandle(Arc::downgrade(&self.0))
    }

    fn stream(&self) -> &TcpStream {
        &self.0.stream
    }

    /// Waits for the first byte and leaves it there. `None`: nothing will come.
    pub async fn first_byte(&self) -> io::Result<Option<u8>> {
        let mut first = [0];
        let read = self.stream().peek(&mut first).await?;
        Ok((read > 0).then_some(first[0]))
    }

    /// Waits until there is something to read, and returns whether that is the end of it. An error
    /// means the same.
    pub async fn read_closed(&self) -> bool {
        let ready = self.stream().ready(Interest::READABLE).await;
        ready.map_or(true, |ready| ready.is_read_closed())
    }

    /// Less was read than there was room for: without asking the kernel again, waits for more.
    fn drained(&self) {
        let nothing = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
        // The error is the one above.
        let _ = self.stream().try_io(Interest::READABLE, nothing);
    }

    fn poll_try(
        &self,
        cx: &mut Context<'_>,
        mut write: impl FnMut(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream().poll_write_ready(cx))?;
            match write(self.stream()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }
}

impl StreamState {
    fn waiting(&self) -> MutexGuard<'_, Option<Waker>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something was read.
    fn arrived(&self) {
        if let Some(waiting) = self.waiting().take() {
            self.arrived.store(true, Ordering::Relaxed);
            waiting.wake();
        }
    }

    /// Acknowledges at once what has arrived. Programs that write a message in parts, without
    /// `TCP_NODELAY`, send the next part only then, and the kernel lets them wait for 40 ms.
    fn acknowledge(&self) {
        #[cfg(target_os = "linux")]
        // Without, it is only slower.
        let _ = rustix::net::sockopt::set_tcp_quickack(&self.stream, true);
    }
}

impl StreamHandle {
    /// Waits for the head of a message. Parts of it are acknowledged at once.
    pub async fn head<T>(&self, head: impl Future<Output = T>) -> T {
        let mut head = pin!(head);
        if let Some(state) = self.0.upgrade() {
            state.arrived.store(false, Ordering::Relaxed);
        }
        poll_fn(|cx| {
            let polled = head.as_mut().poll(cx);
            if let Some(state) = self.0.upgrade() {
                // hyper has seen what has arrived: it was not all.
                if polled.is_pending() && state.arrived.swap(false, Ordering::Relaxed) {
                    state.acknowledge();
                }
                *state.waiting() = polled.is_pending().then(|| cx.waker().clone());
            }
            polled
        })
        .await
    }

    /// Acknowledges at once what has arrived, because more of the message is to come.
    pub fn acknowledge(&self) {
        if let Some(state) = self.0.upgrade() {
            state.acknowledge();
        }
    }
}

/// What has been done since the last part of a body to get the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodySilence {
    None,
    /// hyper was asked for what it has read already.
    Asked,
    /// What has arrived was acknowledged.
    Acknowledged,
}

impl BodySilence {
    /// Nothing is there now. Acknowledges what has arrived unless hyper still has some of it.
    pub fn goes_on(&mut self, stream: &StreamHandle, cx: &mut Context<'_>) {
        *self = match self {
            BodySilence::None => {
                cx.waker().wake_by_ref();
                BodySilence::Asked
            }
            BodySilence::Asked => {
                stream.acknowledge();
                BodySilence::Acknowledged
            }
            BodySilence::Acknowledged => BodySilence::Acknowledged,
        };
    }
}

impl AsyncRead for SharedStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.stream().poll_read_ready(cx))?;
            let room = buf.remaining();
            match self.stream().try_read_buf(buf) {
                Ok(read) => {
                    self.0.arrived();
                    if (1..room).contains(&read) {
                        self.drained();
                    }
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for SharedStream {
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
        rustix::net::shutdown(self.stream(), rustix::net::Shutdown::Write)?;
        Poll::Ready(Ok(()))
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// Whether the kernel acknowledges at once, rather than with what is written next.
    fn acknowledges(stream: &SharedStream) -> bool {
        rustix::net::sockopt::tcp_quickack(stream.stream()).unwrap()
    }

    #[tokio::test]
    async fn parts_of_a_head_that_is_waited_for_are_acknowledged_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut peer, _) = listener.accept().await.unwrap();
        let mut stream = SharedStream::new(stream).unwrap();
        let mut byte = [0];
        // A conversation, as on a connection that is used again and again.
        for _ in 0..20 {
            peer.write_all(b"a").await.unwrap();
            stream.read_exact(&mut byte).await.unwrap();
            stream.write_all(b"b").await.unwrap();
            peer.read_exact(&mut byte).await.unwrap();
        }
        let handle = stream.handle();
        let mut head = pin!(handle.head(std::future::pending::<()>()));
        for acknowledged in [false, true] {
            assert!(poll_fn(|cx| Poll::Ready(head.as_mut().poll(cx))).await.is_pending());
            assert_eq!(acknowledges(&stream), acknowledged);
            peer.write_all(b"a").await.unwrap();
            stream.read_exact(&mut byte).await.unwrap();
        }
    }
}
