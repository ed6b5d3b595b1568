use bytes::{Buf, Bytes, BytesMut};
use hyper::Response;
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};

use super::event::AttachEvent;
use super::frame::{Frame, READ};
use crate::control::Failure;
use crate::runtime::process::Size;

/// Maximum bytes of keys that a suspended stack has not read; more than a user types blindly.
const UNSENT: usize = 1 << 20;

/// A client's connection to the terminal of a service.
pub struct Attachment {
    /// Messages from the stack.
    pub hears: Hears,
    /// Keys and sizes to the stack.
    pub says: Says,
}

/// A message from the stack.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    /// Output of the terminal.
    Output(Bytes),
    /// An event beside the output.
    Event(AttachEvent),
}

/// Receives output and events.
pub struct Hears {
    read: ReadHalf<TokioIo<Upgraded>>,
    heard: BytesMut,
}

/// Sends keys and sizes.
pub struct Says {
    write: WriteHalf<TokioIo<Upgraded>>,
    unsent: BytesMut,
}

impl Attachment {
    /// Takes over the connection of a response that accepted the upgrade.
    pub(in crate::control) async fn of(answer: Response<Incoming>) -> Result<Attachment, Failure> {
        let upgraded = hyper::upgrade::on(answer).await.map_err(|_| Failure::ended())?;
        let (read, write) = tokio::io::split(TokioIo::new(upgraded));
        let hears = Hears { read, heard: BytesMut::new() };
        Ok(Attachment { hears, says: Says { write, unsent: BytesMut::new() } })
    }
}

impl Hears {
    /// Returns the next message; `None` when the connection is closed. Cancel safe.
    ///
    /// # Errors
    /// The frame is invalid.
    pub async fn next(&mut self) -> Result<Option<Heard>, Failure> {
        loop {
            match Frame::decode(&mut self.heard) {
                Ok(Some(Frame::Output(bytes))) => return Ok(Some(Heard::Output(bytes))),
                Ok(Some(Frame::Event(event))) => return Ok(Some(Heard::Event(event))),
                Ok(Some(Frame::Input(_) | Frame::Resize(_))) | Err(_) => {
                    return Err(Failure::garbled("client sent an invalid frame"));
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

impl Says {
    /// Queues keys as far as there is room; returns whether all fit.
    pub fn type_in(&mut self, keys: &[u8]) -> bool {
        let room = UNSENT.saturating_sub(self.unsent.len());
        let taken = &keys[..keys.len().min(room)];
        Frame::Input(Bytes::copy_from_slice(taken)).encode(&mut self.unsent);
        taken.len() == keys.len()
    }

    /// Queues a new terminal size.
    pub fn resize(&mut self, size: Size) {
        Frame::Resize(size).encode(&mut self.unsent);
    }

    /// Sends what is queued; resolves only when the connection is closed. Cancel safe.
    pub async fn work(&mut self) {
        while !self.unsent.is_empty() {
            match self.write.write(&self.unsent).await {
                Ok(count) if count > 0 => self.unsent.advance(count),
                Ok(_) | Err(_) => return,
            }
        }
        std::future::pending().await
    }
}
