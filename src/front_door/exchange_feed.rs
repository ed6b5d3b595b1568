use std::io;
use std::path::Path;
use std::rc::{Rc, Weak};

use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::door_protocol::{DoorRequest, connect};
use super::door_stream::DoorStream;
use crate::proxy::{ExchangeRecord, ExchangeRing};

/// Which exchanges to send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExchangeQuery {
    /// What the names of the stack end in.
    pub domain: String,
    /// Only this one; `None`: all that are kept.
    pub id: Option<u64>,
    /// Whether bodies are sent, too.
    pub bodies: bool,
    /// Whether to go on with those that end from now on. Others that have not ended are left out.
    pub follow: bool,
}

/// Sends what a query asks for, as fast as the other end reads.
pub(super) async fn send_exchanges(
    stream: &mut DoorStream,
    ring: Option<Rc<ExchangeRing>>,
    query: &ExchangeQuery,
) -> io::Result<()> {
    let Some(ring) = ring else { return stream.send(&ExchangeFeed::NotRecorded, &[]).await };
    let ended = query.follow.then(|| ring.follow());
    let ids: Vec<u64> = match query.id {
        Some(id) => vec![id],
        // Others come when they end.
        None if query.follow => ring.ids().filter(|id| has_ended(&ring, *id)).collect(),
        None => ring.ids().collect(),
    };
    // The end of the stack drops them, and ends this.
    let kept = Rc::downgrade(&ring);
    drop(ring);
    for id in ids {
        if let Some(reply) = exchange(&kept, id, query) {
            stream.send(&reply, &[]).await?;
        }
    }
    match ended {
        Some(ended) => {
            stream.send(&ExchangeFeed::UpToDate, &[]).await?;
            follow(stream, ended, &kept, query).await
        }
        None => stream.send(&ExchangeFeed::End, &[]).await,
    }
}

/// Sends what ends, until the stack or the other end leaves.
async fn follow(
    stream: &mut DoorStream,
    mut ended: Receiver<u64>,
    ring: &Weak<ExchangeRing>,
    query: &ExchangeQuery,
) -> io::Result<()> {
    loop {
        let next = tokio::select! {
            // The other end sends nothing more.
            _ = stream.receive::<DoorRequest>() => return Ok(()),
            next = ended.recv() => next,
        };
        let reply = match next {
            Ok(id) => exchange(ring, id, query).unwrap_or(ExchangeFeed::Missed { count: 1 }),
            Err(RecvError::Lagged(count)) => ExchangeFeed::Missed { count },
            Err(RecvError::Closed) => return stream.send(&ExchangeFeed::End, &[]).await,
        };
        stream.send(&reply, &[]).await?;
    }
}

fn has_ended(ring: &ExchangeRing, id: u64) -> bool {
    ring.read(id, |record| record.end.is_some()) == Some(true)
}

/// Returns an exchange that is still kept.
fn exchange(ring: &Weak<ExchangeRing>, id: u64, query: &ExchangeQuery) -> Option<ExchangeFeed> {
    let copy = |record: &ExchangeRecord| match query.bodies {
        true => record.clone(),
        false => record.head(),
    };
    let record = Box::new(ring.upgrade()?.read(id, copy)?);
    Some(ExchangeFeed::Exchange { record })
}

/// What the front door sends for an [`ExchangeQuery`].
pub struct ExchangeReader(DoorStream);

/// One message of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum ExchangeFeed {
    Exchange {
        /// Not among the fields of the message: some have the same names.
        record: Box<ExchangeRecord>,
    },
    /// Exchanges have gone before they could be sent.
    Missed {
        /// How many.
        count: u64,
    },
    /// Exchanges of this stack are not recorded.
    NotRecorded,
    /// Those that were there have been sent; what follows ends from now on.
    UpToDate,
    End,
}

impl ExchangeReader {
    /// Asks the front door behind a socket. `None`: there is no front door.
    ///
    /// # Errors
    /// The front door cannot be reached.
    pub async fn ask(socket: &Path, query: ExchangeQuery) -> io::Result<Option<ExchangeReader>> {
        let Some(mut stream) = connect(socket).await? else { return Ok(None) };
        // As long as the bodies that the user wants to be recorded.
        stream.allow_messages(usize::MAX);
        stream.send(&DoorRequest::Exchanges(query), &[]).await?;
        Ok(Some(ExchangeReader(stream)))
    }

    /// Returns the next message.
    ///
    /// # Errors
    /// The front door is gone before the end, or belongs to another version of devstack.
    pub async fn next(&mut self) -> io::Result<ExchangeFeed> {
        self.0.receive().await?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}
