use std::io::Write;
use std::path::Path;

use crate::cli::ClientOptions;
use crate::cli::control::OrphanCleanup;
use crate::cli::render::CommandError;
pub(crate) use crate::control::protocol::find_services;
use crate::control::{ClientError, ControlClient, LogItem, LogPattern, LogQuery};
use crate::exit_code::ExitCode;
use crate::log::StatusMode;
use crate::model::{Message, MessageClass, Name, OutputStream, Snapshot};

/// Options of `devstack logs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogsOptions {
    /// The stack, and the output format.
    pub control: ClientOptions,
    /// Services to show; empty for all.
    pub services: Vec<String>,
    /// Whether to show new lines until the stack stops.
    pub follow: bool,
    /// How many existing lines of each service to show; `None`: all.
    pub last: Option<usize>,
    /// Only lines read at this time or later, in milliseconds since 1970.
    pub since: Option<i64>,
    /// Only lines of this stream.
    pub stream: Option<OutputStream>,
    /// Only lines that match.
    pub grep: Option<LogPattern>,
    /// Whether to include status lines, or only those.
    pub narration: StatusMode,
}

impl LogsOptions {
    fn query(&self, services: Vec<Name>, follow: bool) -> LogQuery {
        let LogsOptions { last, since, stream, narration, .. } = *self;
        LogQuery {
            services,
            last,
            follow,
            since,
            stream,
            grep: self.grep.clone(),
            status_mode: narration,
        }
    }
}

/// Items of a stored log in order, in chunks that fit in memory.
pub type StoredLogItems = Box<dyn Iterator<Item = Vec<LogItem>>>;

/// Formats log items, and reads the stored log of a stack that no longer runs.
pub trait LogFace {
    /// Sets the services whose lines follow.
    fn set_services(&mut self, services: &[Name]);

    /// Appends a formatted item, with its newline.
    fn paint(&mut self, item: &LogItem, out: &mut Vec<u8>);

    /// Returns the services with a stored log in the state directory; `None` if there is no log.
    fn stored_services(&self, state: &Path) -> Result<Option<Vec<Name>>, Message>;

    /// Reads the stored log in the state directory.
    fn stored(&self, state: &Path, query: &LogQuery) -> Result<StoredLogItems, Message>;
}

/// `devstack logs [SERVICE…]`: prints the output of services, even after the stack has stopped.
/// Ends quietly if `out` is closed, and at once when `gone` resolves.
pub async fn logs(
    options: &LogsOptions,
    face: &mut dyn LogFace,
    gone: impl Future<Output = ()>,
    out: &mut dyn Write,
) -> Result<ExitCode, CommandError> {
    let result = match ask(options).await {
        Ok((client, snapshot)) => {
            let all = print_live(options, &client, &snapshot, face, out);
            tokio::select! {
                biased;
                result = all => result,
                () = gone => Ok(()),
            }
        }
        Err(failure @ ClientError::NotRunning(_)) => print_stored(options, failure, face, out),
        Err(failure) => Err(failure.into()),
    };
    result.map(|()| ExitCode::OK)
}

/// Connects to the stack, if it runs.
async fn ask(options: &LogsOptions) -> Result<(ControlClient, Snapshot), ClientError> {
    let client = options.control.client()?;
    let snapshot = client.stack().await?;
    Ok((client, snapshot))
}

async fn print_live(
    options: &LogsOptions,
    client: &ControlClient,
    snapshot: &Snapshot,
    face: &mut dyn LogFace,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let find = |text: &String| find_services(snapshot, text).map_err(ClientError::UnknownService);
    let wanted =
        options.services.iter().map(find).collect::<Result<Vec<_>, ClientError>>()?.concat();
    let all = snapshot.services.iter().map(|service| service.name.clone());
    face.set_services(&if wanted.is_empty() { all.collect() } else { wanted.clone() });

    let mut lines = client.logs(&options.query(wanted, options.follow)).await?;
    let mut text = Vec::new();
    while let Some(lines) = lines.next().await? {
        text.clear();
        for line in &lines {
            if options.control.json {
                text.extend_from_slice(line);
                text.push(b'\n');
            } else {
                face.paint(&parse(line)?, &mut text);
            }
        }
        out.write_all(&text)?;
        // Lines should appear at once when following.
        out.flush()?;
    }
    Ok(())
}

/// Prints the stored log of a stack that does not run, if there is one.
fn print_stored(
    options: &LogsOptions,
    not_running: ClientError,
    face: &mut dyn LogFace,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let Some(left) = OrphanCleanup::find(&options.control.dir) else {
        return Err(not_running.into());
    };
    let dir = left.state_dir;
    let services = face.stored_services(&dir).map_err(ClientError::Refused)?;
    let Some(services) = services else { return Err(not_running.into()) };
    let wanted = kept_services(&options.services, &services)?;
    face.set_services(if wanted.is_empty() { &services } else { &wanted });

    let query = options.query(wanted, false);
    let mut text = Vec::new();
    for items in face.stored(&dir, &query).map_err(ClientError::Refused)? {
        text.clear();
        for item in &items {
            if options.control.json {
                serde_json::to_writer(&mut text, item).map_err(std::io::Error::from)?;
                text.push(b'\n');
            } else {
                face.paint(item, &mut text);
            }
        }
        out.write_all(&text)?;
    }
    Ok(out.flush()?)
}

fn kept_services(wanted: &[String], kept: &[Name]) -> Result<Vec<Name>, ClientError> {
    let find = |text: &String| {
        let found = kept.iter().find(|name| name.as_str() == text);
        found.cloned().ok_or_else(|| {
            let names: Vec<&str> = kept.iter().map(Name::as_str).collect();
            let message = Message::new(MessageClass::Usage, format!("no log found for `{text}`"));
            ClientError::UnknownService(match names.as_slice() {
                [] => message.help("check the name; no service of this stack has logged anything"),
                names => message.help(format!("use one of {}", names.join(", "))),
            })
        })
    };
    wanted.iter().map(find).collect()
}

fn parse(line: &[u8]) -> Result<LogItem, ClientError> {
    serde_json::from_slice(line).map_err(|error| {
        let text = format!("invalid log line: {error}");
        ClientError::Refused(Message::new(MessageClass::Internal, text))
    })
}
