use bytes::{Buf, Bytes, BytesMut};
use hyper::Response;
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};

use crate::control::ClientError;
use crate::control::protocol::{AttachEvent, AttachFrame, READ};
use crate::sys::pty::TermSize;

/// Maximum bytes of keys that a suspended stack has not read; more than a user types blindly.
const UNSENT: usize = 1 << 20;

/// A client's connection to the terminal of a service.
pub struct AttachConnection {
    /// Messages from the stack.
    pub hears: AttachReader,
    /// Keys and sizes to the stack.
    pub says: AttachWriter,
}

/// A message from the stack.
#[derive(Debug, Clone, PartialEq)]
pub enum AttachMessage {
    /// Output of the terminal.
    Output(Bytes),
    /// An event beside the output.
    Event(AttachEvent),
}

/// Receives output and events.
pub struct AttachReader {
    read: ReadHalf<TokioIo<Upgraded>>,
    heard: BytesMut,
}

/// Sends keys and sizes.
pub struct AttachWriter {
    write: WriteHalf<TokioIo<Upgraded>>,
    unsent: BytesMut,
}

impl AttachConnection {
    /// Takes over the connection of a response that accepted the upgrade.
    pub(super) async fn of(answer: Response<Incoming>) -> Result<AttachConnection, ClientError> {
        let upgraded = hyper::upgrade::on(answer).await.map_err(|_| ClientError::ended())?;
        let (read, write) = tokio::io::split(TokioIo::new(upgraded));
        let hears = AttachReader { read, heard: BytesMut::new() };
        Ok(AttachConnection { hears, says: AttachWriter { write, unsent: BytesMut::new() } })
    }
}

impl AttachReader {
    /// Returns the next message; `None` when the connection is closed. Cancel safe.
    ///
    /// # Errors
    /// The frame is invalid.
    pub async fn next(&mut self) -> Result<Option<AttachMessage>, ClientError> {
        loop {
            match AttachFrame::decode(&mut self.heard) {
                Ok(Some(AttachFrame::Output(bytes))) => {
                    return Ok(Some(AttachMessage::Output(bytes)));
                }
                Ok(Some(AttachFrame::Event(event))) => {
                    return Ok(Some(AttachMessage::Event(event)));
                }
                Ok(Some(AttachFrame::Input(_) | AttachFrame::Resize(_))) | Err(_) => {
                    return Err(ClientError::unreadable_response("client sent an invalid frame"));
                }
                Ok(None) => {}
            }
            self.heard.reserve(READ);
            // An error means that the connection is closed, too.
            if self.read.read_buf(&mut self.heard).await.unwrap_or(0) == 0 {
                return Ok(None);
            }
        }
    }
}

impl AttachWriter {
    /// Queues keys as far as there is room; returns whether all fit.
    pub fn send_keys(&mut self, keys: &[u8]) -> bool {
        let room = UNSENT.saturating_sub(self.unsent.len());
        let taken = &keys[..keys.len().min(room)];
        AttachFrame::Input(Bytes::copy_from_slice(taken)).encode(&mut self.unsent);
        taken.len() == keys.len()
    }

    /// Queues a new terminal size.
    pub fn resize(&mut self, size: TermSize) {
        AttachFrame::Resize(size).encode(&mut self.unsent);
    }

    /// Sends what is queued; resolves only when the connection is closed. Cancel safe.
    pub async fn flush(&mut self) {
        while !self.unsent.is_empty() {
            match self.write.write(&self.unsent).await {
                Ok(count) if count > 0 => self.unsent.advance(count),
                Ok(_) | Err(_) => return,
            }
        }
        std::future::pending().await
    }
}
