use std::io::Write;
use std::path::Path;

use super::ControlOptions;
use super::complain::{Trouble, end};
use super::left_behind::LeftBehind;
use crate::control::{Client, Failure, LogItem, LogQuery, Pattern, find_services};
use crate::model::{Class, Message, Name, Snapshot, Stream};
use crate::runtime::log::Narration;

/// What `devstack logs` is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogsOptions {
    /// Which stack, and how its lines are written.
    pub control: ControlOptions,
    /// Of these services; of all when empty.
    pub services: Vec<String>,
    /// Whether new lines follow until the stack ends.
    pub follow: bool,
    /// That many lines of each service that were there before; `None`: all that are kept.
    pub last: Option<usize>,
    /// Only lines that were read then or later: milliseconds since 1970.
    pub since: Option<i64>,
    /// Only lines of this stream.
    pub stream: Option<Stream>,
    /// Only lines in which this is found.
    pub grep: Option<Pattern>,
    /// Whether what devstack itself said is shown too, or alone.
    pub narration: Narration,
}

impl LogsOptions {
    fn query(&self, services: Vec<Name>, follow: bool) -> LogQuery {
        let LogsOptions { last, since, stream, narration, .. } = *self;
        LogQuery { services, last, follow, since, stream, grep: self.grep.clone(), narration }
    }
}

/// Items of a stored log in order, in portions that fit in memory.
pub type StoredItems = Box<dyn Iterator<Item = Vec<LogItem>>>;

/// How lines look, and where those of a stack that has ended are kept.
pub trait LogFace {
    /// From now on lines of these services are painted.
    fn set_services(&mut self, services: &[Name]);

    /// Appends a line, or how many are lost, as people see it, with its line end.
    fn paint(&mut self, item: &LogItem, out: &mut Vec<u8>);

    /// Whose lines are kept in the state folder `state`; `None` when nothing was ever kept there.
    fn stored_services(&self, state: &Path) -> Result<Option<Vec<Name>>, Message>;

    /// What is kept in the state folder `state`.
    fn stored(&self, state: &Path, query: &LogQuery) -> Result<StoredItems, Message>;
}

/// `devstack logs [SERVICE…]`: what the services printed, also after the stack has ended. Ends
/// quietly when nobody reads `out` any more, and at once when `gone` says so. Gives the exit code.
pub async fn logs(
    options: &LogsOptions,
    face: &mut dyn LogFace,
    gone: impl Future<Output = ()>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> i32 {
    let result = match ask(options).await {
        Ok((client, snapshot)) => {
            let all = live(options, &client, &snapshot, face, out);
            tokio::select! {
                biased;
                result = all => result,
                () = gone => Ok(()),
            }
        }
        Err(failure @ Failure::NotRunning(_)) => kept(options, failure, face, out),
        Err(failure) => Err(failure.into()),
    };
    end(result, options.control.json, err)
}

/// The stack, if it runs.
async fn ask(options: &LogsOptions) -> Result<(Client, Snapshot), Failure> {
    let client = options.control.client()?;
    let snapshot = client.stack().await?;
    Ok((client, snapshot))
}

async fn live(
    options: &LogsOptions,
    client: &Client,
    snapshot: &Snapshot,
    face: &mut dyn LogFace,
    out: &mut dyn Write,
) -> Result<(), Trouble> {
    let find = |text: &String| find_services(snapshot, text).map_err(Failure::UnknownService);
    let wanted = options.services.iter().map(find).collect::<Result<Vec<_>, Failure>>()?.concat();
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
        // Whoever follows wants to see it now.
        out.flush()?;
    }
    Ok(())
}

/// The log of a stack that does not run, if it left one.
fn kept(
    options: &LogsOptions,
    not_running: Failure,
    face: &mut dyn LogFace,
    out: &mut dyn Write,
) -> Result<(), Trouble> {
    let Some(left) = LeftBehind::find(&options.control.dir) else { return Err(not_running.into()) };
    let dir = left.state_dir;
    let services = face.stored_services(&dir).map_err(Failure::Refused)?;
    let Some(services) = services else { return Err(not_running.into()) };
    let wanted = kept_services(&options.services, &services)?;
    face.set_services(if wanted.is_empty() { &services } else { &wanted });

    let query = options.query(wanted, false);
    let mut text = Vec::new();
    for items in face.stored(&dir, &query).map_err(Failure::Refused)? {
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

fn kept_services(wanted: &[String], kept: &[Name]) -> Result<Vec<Name>, Failure> {
    let find = |text: &String| {
        let found = kept.iter().find(|name| name.as_str() == text);
        found.cloned().ok_or_else(|| {
            let names: Vec<&str> = kept.iter().map(Name::as_str).collect();
            let message = Message::new(Class::Usage, format!("no log of `{text}` is kept"));
            Failure::UnknownService(match names.as_slice() {
                [] => message.help("no service of it has printed anything"),
                names => message.help(format!("there are logs of {}", names.join(", "))),
            })
        })
    };
    wanted.iter().map(find).collect()
}

fn parse(line: &[u8]) -> Result<LogItem, Failure> {
    serde_json::from_slice(line).map_err(|error| {
        let text = format!("cannot understand a line of the log: {error}");
        Failure::Refused(Message::new(Class::Internal, text))
    })
}
