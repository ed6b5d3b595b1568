use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// A connection that fails once its client has taken nothing for too long, so that it does not keep
/// its place.
pub(super) struct PatientStream<S> {
    stream: S,
    patience: Duration,
    /// Since the client takes nothing.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S> PatientStream<S> {
    pub fn new(stream: S, patience: Duration) -> PatientStream<S> {
        PatientStream { stream, patience, waiting: None }
    }

    fn or_fail<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let patience = self.patience;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(waiting.as_mut().poll(cx));
        // A further write fails as well.
        waiting.as_mut().reset(Instant::now());
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for PatientStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        read: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for PatientStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.or_fail(cx, written)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.stream).poll_flush(cx);
        this.or_fail(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let shut = Pin::new(&mut this.stream).poll_shutdown(cx);
        this.or_fail(cx, shut)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn a_client_that_reads_nothing_loses_its_place() {
        let (mut client, server) = duplex(10);
        let mut server = PatientStream::new(server, Duration::from_millis(1));
        for _ in 0..2 {
            let error = server.write_all(&[0; 11]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        }
        // The time begins anew once it has read.
        client.read_exact(&mut [0; 10]).await.unwrap();
        server.write_all(&[0; 10]).await.unwrap();
    }

    #[tokio::test]
    async fn a_client_that_reads_keeps_it() {
        let (mut client, server) = duplex(10);
        let mut server = PatientStream::new(server, Duration::from_secs(3600));
        let mut read = [0; 1000];
        let (written, was_read) =
            tokio::join!(server.write_all(&[1; 1000]), client.read_exact(&mut read));
        assert!(written.is_ok() && was_read.is_ok() && read == [1; 1000]);
    }
}
