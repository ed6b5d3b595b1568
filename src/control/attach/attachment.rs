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

/// Keys that a stack that stands still has not taken. More than anybody types blindly.
const UNSENT: usize = 1 << 20;

/// The terminal of a service, for a client.
pub struct Attachment {
    /// What comes from the stack.
    pub hears: Hears,
    /// What goes there.
    pub says: Says,
}

/// What a client hears.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    /// The terminal shows this.
    Output(Bytes),
    /// Something happened.
    Event(AttachEvent),
}

/// Hears what the terminal shows, and what happens.
pub struct Hears {
    read: ReadHalf<TokioIo<Upgraded>>,
    heard: BytesMut,
}

/// Types in the terminal.
pub struct Says {
    write: WriteHalf<TokioIo<Upgraded>>,
    unsent: BytesMut,
}

impl Attachment {
    /// Takes over the connection of an answer that agreed to it.
    pub(in crate::control) async fn of(answer: Response<Incoming>) -> Result<Attachment, Failure> {
        let upgraded = hyper::upgrade::on(answer).await.map_err(|_| Failure::ended())?;
        let (read, write) = tokio::io::split(TokioIo::new(upgraded));
        let hears = Hears { read, heard: BytesMut::new() };
        Ok(Attachment { hears, says: Says { write, unsent: BytesMut::new() } })
    }
}

impl Hears {
    /// What comes next; `None` when the connection is over. A call that is dropped loses nothing.
    ///
    /// # Errors
    /// It makes no sense.
    pub async fn next(&mut self) -> Result<Option<Heard>, Failure> {
        loop {
            match Frame::decode(&mut self.heard) {
                Ok(Some(Frame::Output(bytes))) => return Ok(Some(Heard::Output(bytes))),
                Ok(Some(Frame::Event(event))) => return Ok(Some(Heard::Event(event))),
                Ok(Some(Frame::Input(_) | Frame::Resize(_))) | Err(_) => {
                    return Err(Failure::garbled("it sent what is no frame of its own"));
                }
                Ok(None) => {}
            }
            self.heard.reserve(READ);
            // An error is a connection that is over, too.
            if self.read.read_buf(&mut self.heard).await.unwrap_or(0) == 0 {
                return Ok(None);
            }
        }
    }
}

impl Says {
    /// Types, as far as there is room; whether there was. [`Says::work`] sends it.
    pub fn type_in(&mut self, keys: &[u8]) -> bool {
        let room = UNSENT.saturating_sub(self.unsent.len());
        let taken = &keys[..keys.len().min(room)];
        Frame::Input(Bytes::copy_from_slice(taken)).encode(&mut self.unsent);
        taken.len() == keys.len()
    }

    /// The screen has another size.
    pub fn resize(&mut self, size: Size) {
        Frame::Resize(size).encode(&mut self.unsent);
    }

    /// Sends what is to be sent; resolves when the connection is over. Dropping it loses nothing.
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
