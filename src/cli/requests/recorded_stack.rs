use std::io;
use std::path::PathBuf;

use crate::cli::ClientOptions;
use crate::cli::inspect::logs::find_services;
use crate::cli::render::CommandError;
use crate::control::{ClientError, RuntimeDir};
use crate::front_door::{DoorFiles, ExchangeFeed, ExchangeQuery, ExchangeReader};
use crate::model::{Message, MessageClass, Name, Snapshot, StackProxy};
use crate::proxy::ExchangeRecord;

/// A running stack whose requests are recorded.
pub(super) struct RecordedStack {
    snapshot: Snapshot,
    /// How the proxy serves it.
    pub proxy: StackProxy,
    /// The socket of the front door.
    socket: Option<PathBuf>,
}

impl RecordedStack {
    /// Returns the stack of this directory.
    pub async fn find(options: &ClientOptions) -> Result<RecordedStack, CommandError> {
        RecordedStack::of(options.client()?.stack().await?)
    }

    pub fn of(mut snapshot: Snapshot) -> Result<RecordedStack, CommandError> {
        let refused = |text: &str, help: &str| {
            Err(Message::new(MessageClass::Config, text).help(help).into())
        };
        let Some(proxy) = snapshot.proxy.take() else {
            return refused(
                "the services of this stack have no names, so no requests are recorded",
                "remove `enabled = false` from [stack.proxy], or `off` from DEVSTACK_PROXY",
            );
        };
        if !proxy.requests {
            return refused(
                "requests to this stack are not recorded",
                "remove `requests = false` from [stack.proxy]",
            );
        }
        let runtime = RuntimeDir::existing();
        let socket = runtime.map(|runtime| DoorFiles::below(runtime.path()).socket());
        Ok(RecordedStack { snapshot, proxy, socket })
    }

    /// Returns the services that `text` names, also as a group of replicas.
    pub fn services(&self, text: &str) -> Result<Vec<Name>, CommandError> {
        let mut found = find_services(&self.snapshot, text).map_err(ClientError::UnknownService)?;
        found.extend(Name::new(text).ok());
        Ok(found)
    }

    /// Returns the names of all services.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.snapshot.services.iter().map(|service| &service.name)
    }

    /// Fetches all requests that are kept, oldest first.
    pub async fn all(&self, bodies: bool) -> Result<Vec<ExchangeRecord>, CommandError> {
        let mut records = Vec::new();
        let Some(mut reader) = self.ask(None, bodies, false).await? else { return Ok(records) };
        while let Some(next) = next(&mut reader).await? {
            if let ExchangeFeed::Exchange { record } = next {
                records.push(*record);
            }
        }
        Ok(records)
    }

    /// Fetches one request with its bodies.
    pub async fn one(&self, id: u64) -> Result<ExchangeRecord, CommandError> {
        if let Some(mut reader) = self.ask(Some(id), true, false).await?
            && let Some(ExchangeFeed::Exchange { record }) = next(&mut reader).await?
        {
            return Ok(*record);
        }
        let text = format!("no request has the number {id}");
        let help = "list them with `devstack requests`; only the latest are kept";
        Err(Message::new(MessageClass::Usage, text).help(help).into())
    }

    pub async fn follow(&self) -> Result<FollowedRequests, CommandError> {
        match self.ask(None, false, true).await? {
            Some(reader) => Ok(FollowedRequests(reader)),
            None => Err(not_served().into()),
        }
    }

    async fn ask(
        &self,
        id: Option<u64>,
        bodies: bool,
        follow: bool,
    ) -> Result<Option<ExchangeReader>, CommandError> {
        let Some(socket) = &self.socket else { return Ok(None) };
        let domain = self.proxy.domain.clone();
        let query = ExchangeQuery { domain, id, bodies, follow };
        Ok(ExchangeReader::ask(socket, query).await.map_err(|error| unreachable(&error))?)
    }
}

/// The requests of a stack as they end.
pub(super) struct FollowedRequests(ExchangeReader);

/// What comes.
pub(super) enum FollowedExchange {
    Ended(Box<ExchangeRecord>),
    /// So many were gone before they could be read.
    Missed(u64),
}

impl FollowedRequests {
    /// Returns those that had ended already. Call it first.
    pub async fn earlier(&mut self) -> Result<Vec<ExchangeRecord>, CommandError> {
        let mut records = Vec::new();
        loop {
            match next(&mut self.0).await? {
                Some(ExchangeFeed::Exchange { record }) => records.push(*record),
                Some(ExchangeFeed::NotRecorded) => return Err(not_served().into()),
                Some(ExchangeFeed::Missed { .. }) => {}
                Some(ExchangeFeed::UpToDate | ExchangeFeed::End) | None => return Ok(records),
            }
        }
    }

    /// Returns the next one; `None`: the stack has stopped.
    pub async fn next(&mut self) -> Result<Option<FollowedExchange>, CommandError> {
        match next(&mut self.0).await? {
            Some(ExchangeFeed::Exchange { record }) => Ok(Some(FollowedExchange::Ended(record))),
            Some(ExchangeFeed::Missed { count }) => Ok(Some(FollowedExchange::Missed(count))),
            Some(ExchangeFeed::NotRecorded | ExchangeFeed::UpToDate | ExchangeFeed::End) | None => {
                Ok(None)
            }
        }
    }
}

async fn next(reader: &mut ExchangeReader) -> Result<Option<ExchangeFeed>, Message> {
    match reader.next().await {
        Ok(ExchangeFeed::End) => Ok(None),
        Ok(next) => Ok(Some(next)),
        Err(error) => Err(unreachable(&error)),
    }
}

fn not_served() -> Message {
    let text = "no service with a name has been ready yet";
    Message::new(MessageClass::NotRunning, text)
        .help("wait for one with `devstack wait`, then try again")
}

fn unreachable(error: &io::Error) -> Message {
    let text = match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            "the proxy stopped before it had sent everything".to_owned()
        }
        _ => format!("cannot ask the proxy: {error}"),
    };
    Message::new(MessageClass::Busy, text)
        .help("try again; if that does not help, stop the stacks of other versions of devstack: `devstack ps --all`")
}
