use std::io::{self, ErrorKind, Write};
use std::path::Path;

use crate::cli::ClientOptions;
use crate::cli::control::OrphanCleanup;
use crate::cli::render::{CommandError, LogRenderer, warn};
pub(crate) use crate::control::protocol::find_services;
use crate::control::{ClientError, ControlClient, LogMark, LogQuery};
use crate::exit_code::ExitCode;
use crate::log::{LogItem, StoredFrom, StoredLogReader};
use crate::model::{CursorKind, CursorText, Message, MessageClass, Name, Snapshot};

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
                continue;
            }
            match parse(line)? {
                LogPart::Item(item) => face.paint(&item, &mut text),
                LogPart::Mark(mark) => say(&mark),
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
    let from = match &query.after {
        Some(after) => StoredFrom::After(after.clone()),
        None => StoredFrom::Last(query.last.unwrap_or(usize::MAX)),
    };
    let mut pages = StoredLogReader::open(&dir, only, from, query.log_filter())
        .map_err(|error| unreadable(&dir, &error))?;
    let mut marks = StoredMarks::new(&query);
    while let Some(page) = pages.next() {
        text.clear();
        face.fit_terminal();
        marks.add_gap(&pages, options.control.json, &mut text);
        for item in page {
            marks.pass(&item);
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
    marks.add_cursor(&pages, options.control.json, &mut text);
    out.write_all(&text)?;
    Ok(out.flush()?)
}

/// What is said beside the lines of a stored log.
struct StoredMarks {
    after: Option<CursorText>,
    cursor: bool,
    /// The number of the line after the last one that was read.
    end: u64,
    begun: bool,
}

impl StoredMarks {
    fn new(query: &LogQuery) -> StoredMarks {
        let after = query.after.clone();
        StoredMarks { cursor: query.cursor || after.is_some(), after, end: 0, begun: false }
    }

    fn pass(&mut self, item: &LogItem) {
        let seq = match item {
            LogItem::Line(line) => Some(line.seq),
            LogItem::Status(line) => line.seq,
            LogItem::Missed { .. } => None,
        };
        self.end = self.end.max(seq.map_or(0, |seq| seq + 1));
    }

    fn add_gap(&mut self, log: &StoredLogReader, json: bool, text: &mut Vec<u8>) {
        if let (Some(after), false) = (&self.after, self.begun) {
            let marks = LogMark::before(after, log.start(), log.is_too_late());
            marks.iter().for_each(|mark| add_mark(mark, json, text));
        }
        self.begun = true;
    }

    fn add_cursor(&mut self, log: &StoredLogReader, json: bool, text: &mut Vec<u8>) {
        if let (Some(start), true) = (log.start(), self.cursor) {
            let same = self.after.as_ref().filter(|after| after.start == *start);
            let end = self.end.max(same.map_or(0, |after| after.number));
            let cursor = CursorText::new(CursorKind::Log, start, end);
            add_mark(&LogMark::Cursor(cursor.to_string()), json, text);
        }
    }
}

fn add_mark(mark: &LogMark, json: bool, text: &mut Vec<u8>) {
    match json {
        true => text.extend_from_slice(format!("{}\n", serde_json::json!(mark)).as_bytes()),
        false => say(mark),
    }
}

/// Says on stderr what is not part of the log.
fn say(mark: &LogMark) {
    match mark {
        // For programs.
        LogMark::Start(_) => {}
        LogMark::Gap(why) => warn(&format!("note: {why}\n")),
        LogMark::Cursor(cursor) => warn(&format!("cursor: {cursor}\n")),
    }
}

/// A line of the response to a request for the log.
enum LogPart {
    Item(LogItem),
    Mark(LogMark),
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

fn parse(line: &[u8]) -> Result<LogPart, ClientError> {
    let item = serde_json::from_slice(line).map(LogPart::Item);
    // Marks are rare, and lines may be long.
    item.or_else(|error| serde_json::from_slice(line).map(LogPart::Mark).map_err(|_| error))
        .map_err(|error| {
            let text = format!("invalid log line: {error}");
            ClientError::Refused(Message::new(MessageClass::Internal, text))
        })
}
