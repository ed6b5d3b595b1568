use std::io::{self, ErrorKind, Write};
use std::path::Path;

use crate::cli::ClientOptions;
use crate::cli::control::OrphanCleanup;
use crate::cli::render::{CommandError, LogRenderer};
pub(crate) use crate::control::protocol::find_services;
use crate::control::{ClientError, ControlClient, LogQuery};
use crate::exit_code::ExitCode;
use crate::log::{LogItem, StoredLogReader};
use crate::model::{Message, MessageClass, Name, Snapshot};

/// Options of `devstack logs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogsOptions {
    /// The stack, and the output format.
    pub control: ClientOptions,
    /// Services to show, as typed; empty for all.
    pub services: Vec<String>,
    /// Which of their lines to show. The services in it are ignored.
    pub query: LogQuery,
}

impl LogsOptions {
    fn query(&self, services: Vec<Name>, follow: bool) -> LogQuery {
        LogQuery { services, follow, ..self.query.clone() }
    }
}

/// `devstack logs [SERVICE…]`: prints the output of services, even after the stack has stopped.
/// Ends quietly if `out` is closed, and at once when `gone` resolves.
pub(crate) async fn logs(
    options: &LogsOptions,
    face: &mut LogRenderer,
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
    face: &mut LogRenderer,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let find = |text: &String| find_services(snapshot, text).map_err(ClientError::UnknownService);
    let wanted =
        options.services.iter().map(find).collect::<Result<Vec<_>, ClientError>>()?.concat();
    let all = snapshot.services.iter().map(|service| service.name.clone());
    face.set_services(&if wanted.is_empty() { all.collect() } else { wanted.clone() });

    let mut lines = client.logs(&options.query(wanted, options.query.follow)).await?;
    let mut text = Vec::new();
    while let Some(lines) = lines.next().await? {
        text.clear();
        face.fit_terminal();
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
    text.clear();
    face.end(&mut text);
    out.write_all(&text)?;
    Ok(out.flush()?)
}

/// Prints the stored log of a stack that does not run, if there is one.
fn print_stored(
    options: &LogsOptions,
    not_running: ClientError,
    face: &mut LogRenderer,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let left = OrphanCleanup::find(&options.control.dir).and_then(|left| left.state_dir);
    let Some(dir) = left.map(|state_dir| state_dir.logs()) else {
        return Err(not_running.into());
    };
    let services = match StoredLogReader::services(&dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(not_running.into()),
        services => services.map_err(|error| unreadable(&dir, &error))?,
    };
    let wanted = kept_services(&options.services, &services)?;
    face.set_services(if wanted.is_empty() { &services } else { &wanted });

    let query = options.query(wanted, false);
    let mut text = Vec::new();
    let only = (!query.services.is_empty()).then_some(&*query.services);
    let last = query.last.unwrap_or(usize::MAX);
    let pages = StoredLogReader::open(&dir, only, last, query.log_filter())
        .map_err(|error| unreadable(&dir, &error))?;
    for page in pages {
        text.clear();
        face.fit_terminal();
        for item in page {
            if options.control.json {
                item.write_json(&mut text);
            } else {
                face.paint(&item, &mut text);
            }
        }
        out.write_all(&text)?;
    }
    text.clear();
    face.end(&mut text);
    out.write_all(&text)?;
    Ok(out.flush()?)
}

fn unreadable(dir: &Path, error: &io::Error) -> ClientError {
    let text = format!("cannot read {}: {error}", dir.display());
    ClientError::Refused(Message::new(MessageClass::Disk, text))
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
