use std::collections::VecDeque;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::net::SendFlags;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::Interest;
use tokio::net::UnixStream;

use super::door_protocol::{VERSION, Versioned};
use crate::sys::fd_passing::{ReceivedFds, receive_with_fds, send_with_fds};

/// Of one message, in bytes: more than a hundred paths.
const MAX_MESSAGE: usize = 1024 * 1024;

/// Of one message: IPv4 and IPv6 for the ports of a few stacks and front ports.
pub(super) const MAX_DESCRIPTORS: usize = 64;

/// A connection between the front door and a stack or command: one JSON value per line, with
/// descriptors beside it.
#[derive(Debug)]
pub(super) struct DoorStream {
    socket: UnixStream,
    received: Vec<u8>,
    /// How much of it is known to have no line end.
    searched: usize,
    /// How long a message may be, in bytes.
    max_message: usize,
    descriptors: VecDeque<OwnedFd>,
}

impl DoorStream {
    pub fn new(socket: UnixStream) -> DoorStream {
        DoorStream {
            socket,
            received: Vec::new(),
            searched: 0,
            max_message: MAX_MESSAGE,
            descriptors: VecDeque::new(),
        }
    }

    /// Allows messages of this length, in bytes.
    pub fn allow_messages(&mut self, length: usize) {
        self.max_message = length;
    }

    /// Returns the user at the other end.
    pub fn peer_uid(&self) -> io::Result<u32> {
        Ok(self.socket.peer_cred()?.uid())
    }

    pub async fn send(
        &self,
        message: &impl Serialize,
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        if descriptors.len() > MAX_DESCRIPTORS {
            return Err(invalid("too many descriptors"));
        }
        let message = Versioned { version: VERSION, message };
        let mut line = serde_json::to_vec(&message).expect("messages serialize to JSON");
        line.push(b'\n');
        let mut descriptors = descriptors;
        let mut rest = line.as_slice();
        while !rest.is_empty() {
            let send = || Ok(send_with_fds(&self.socket, rest, descriptors, SendFlags::empty())?);
            let sent = self.socket.async_io(Interest::WRITABLE, send).await?;
            rest = &rest[sent..];
            // They go with the first byte.
            descriptors = &[];
        }
        Ok(())
    }

    /// Returns the next message; `None` at the end.
    ///
    /// # Errors
    /// The system's; `InvalidData` for a message of another version or none at all.
    pub async fn receive<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.received[self.searched..]) {
                let line: Vec<u8> = self.received.drain(..=self.searched + end).collect();
                self.searched = 0;
                return parse(&line).map(Some);
            }
            self.searched = self.received.len();
            if self.searched > self.max_message {
                return Err(invalid("the message is too long"));
            }
            let mut part = [0; 16 * 1024];
            let receive = || Ok(receive_with_fds(&self.socket, &mut part)?);
            let ReceivedFds { count, fds } =
                self.socket.async_io(Interest::READABLE, receive).await?;
            self.descriptors.extend(fds.into_iter().flatten());
            if self.descriptors.len() > MAX_DESCRIPTORS {
                return Err(invalid("too many descriptors"));
            }
            if count == 0 {
                return Ok(None);
            }
            self.received.extend_from_slice(&part[..count]);
        }
    }

    /// Takes the descriptors that came with the last message. Fewer may have arrived at the limit of
    /// open files.
    pub fn take_descriptors(&mut self, count: usize) -> Vec<OwnedFd> {
        self.descriptors.drain(..count.min(self.descriptors.len())).collect()
    }
}

fn parse<T: DeserializeOwned>(line: &[u8]) -> io::Result<T> {
    #[derive(serde::Deserialize)]
    struct OnlyVersion {
        version: u32,
    }
    let OnlyVersion { version } = serde_json::from_slice(line).map_err(invalid)?;
    if version != VERSION {
        return Err(invalid("the proxy belongs to another version of devstack"));
    }
    let Versioned { message, .. } = serde_json::from_slice(line).map_err(invalid)?;
    Ok(message)
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::AsFd;

    use super::*;
    use crate::front_door::door_protocol::{DoorReply, DoorRequest};

    #[tokio::test]
    async fn messages_bring_their_descriptors() {
        let (one, other) = UnixStream::pair().unwrap();
        let (one, mut other) = (DoorStream::new(one), DoorStream::new(other));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        one.send(&DoorRequest::Status, &[listener.as_fd(), listener.as_fd()]).await.unwrap();
        one.send(&DoorRequest::Status, &[]).await.unwrap();
        assert_eq!(other.receive().await.unwrap(), Some(DoorRequest::Status));
        let copies = other.take_descriptors(2);
        assert_eq!(other.receive().await.unwrap(), Some(DoorRequest::Status));
        assert_eq!(other.take_descriptors(2).len(), 0);
        let address = listener.local_addr().unwrap();
        drop(listener);
        for copy in copies {
            assert_eq!(TcpListener::from(copy).local_addr().unwrap(), address);
        }
        drop(one);
        assert_eq!(other.receive::<DoorRequest>().await.unwrap(), None);
    }

    #[test]
    fn another_version_is_told_apart_from_nonsense() {
        let text = |line: &str| parse::<DoorReply>(line.as_bytes()).unwrap_err().to_string();
        let newer = text("{\"version\":2,\"what\":\"whatever\"}");
        assert_eq!(newer, "the proxy belongs to another version of devstack");
        assert!(text(r#"{"version":1,"message":{"what":"whatever"}}"#).contains("unknown variant"));
    }
}
