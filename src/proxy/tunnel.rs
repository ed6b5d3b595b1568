use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional_with_sizes};

use super::exchange::Exchange;
use super::recording::{MessageSide, Recording};

/// The size of each of the two buffers of an upgraded connection, in bytes: thousands may be idle.
const BUFFER: usize = 4 << 10;

/// Copies between two upgraded connections until both are closed. The exchange lasts as long.
pub(super) async fn tunnel(client: OnUpgrade, service: OnUpgrade, mut exchange: Exchange) {
    let Ok((client, service)) = tokio::try_join!(client, service) else { return };
    let recording = exchange.recording().cloned();
    let end = |stream, side| TunnelEnd {
        stream: TokioIo::new(stream),
        recording: recording.clone(),
        side,
    };
    let mut client = end(client, MessageSide::Request);
    let mut service = end(service, MessageSide::Response);
    let copied = copy_bidirectional_with_sizes(&mut client, &mut service, BUFFER, BUFFER).await;
    if let Err(error) = copied {
        tracing::debug!(%error, "an upgraded connection ended");
    }
    exchange.closed();
}

/// An upgraded connection. What is read from it is counted.
struct TunnelEnd {
    stream: TokioIo<Upgraded>,
    recording: Option<Recording>,
    side: MessageSide,
}

impl AsyncRead for TunnelEnd {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if let Some(recording) = &self.recording {
            recording.count(self.side, buf.filled().len() - before);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TunnelEnd {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
