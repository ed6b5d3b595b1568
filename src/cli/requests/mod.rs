//! `devstack requests`: what went through the proxy.

mod exchange_filter;
mod exchange_text;
mod har;
mod recorded_stack;
mod replay;

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::ClientOptions;
use super::args::FileArgs;
use super::context::{stdout_closed, with_client};
use super::inspect::since::since;
use super::render::{CommandError, clean_stdout, print, warn};
use super::start::write_report;
use crate::exit_code::ExitCode;
#[cfg(feature = "tui")]
use crate::model::Snapshot;
use crate::model::{Message, MessageClass};
use crate::proxy::ExchangeRecord;
use exchange_filter::{ExchangeFilter, StatusPattern};
use exchange_text::ExchangeRows;
use recorded_stack::{FollowedExchange, RecordedStack};

/// `devstack requests`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct RequestsArgs {
    /// What to do instead of showing.
    #[command(subcommand)]
    pub command: Option<RequestsCommand>,
    /// Configuration file; can be repeated, later files override earlier ones [default: devstack.toml, Procfile.dev or Procfile in this or a parent directory]
    #[arg(long = "file", value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Service whose requests to show, or the number of one request to show as a whole
    #[arg(value_name = "SERVICE|ID")]
    pub what: Option<String>,
    /// Follow new requests: each is shown when it has ended
    #[arg(short, long)]
    pub follow: bool,
    /// Number of requests, or `all` [default: 100; all with --json or --har]
    #[arg(short = 'n', long = "lines", value_name = "N", value_parser = count)]
    pub lines: Option<usize>,
    /// Only requests with this status: 404 or 5xx; can be repeated
    #[arg(long, value_name = "STATUS")]
    pub status: Vec<StatusPattern>,
    /// Only requests with this method; can be repeated
    #[arg(long, value_name = "METHOD")]
    pub method: Vec<String>,
    /// Only requests that took at least this long: 500ms, 2s
    #[arg(long, value_name = "DURATION", value_parser = super::args::duration)]
    pub slow: Option<std::time::Duration>,
    /// Only requests since this time: 90s, 10m, 2h or 3d (ago), 09:30, 2026-11-20, 2026-11-20T09:30:00Z
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub since: Option<i64>,
    /// Write them to this file as HTTP Archive (HAR), for the tools of browsers
    #[arg(long, value_name = "FILE", conflicts_with_all = ["follow", "json"])]
    pub har: Option<PathBuf>,
    /// Show the values of headers whose names look secret: authorization, cookie, token, key, session and the like
    #[arg(long)]
    pub secrets: bool,
    /// Print one JSON object per request
    #[arg(long)]
    pub json: bool,
}

/// What else can be done with requests.
#[derive(Debug, Subcommand)]
pub enum RequestsCommand {
    /// Send a request again and say how the response differs
    Replay {
        /// Which configuration.
        #[command(flatten)]
        files: FileArgs,
        /// Number of the request
        #[arg(value_name = "ID")]
        id: u64,
    },
}

impl RequestsArgs {
    /// Returns the configuration files that are named after the command.
    pub fn files(&mut self) -> &mut Vec<PathBuf> {
        match &mut self.command {
            Some(RequestsCommand::Replay { files, .. }) => &mut files.list,
            None => &mut self.files,
        }
    }

    /// Returns the number of the one request to show. No service is meant by a number.
    fn id(&self) -> Option<u64> {
        self.what.as_ref()?.parse().ok()
    }

    fn last(&self) -> usize {
        /// A screen or two.
        const USUAL: usize = 100;
        let all = self.json || self.har.is_some();
        self.lines.unwrap_or(if all { usize::MAX } else { USUAL })
    }

    fn filter(&self, stack: &RecordedStack) -> Result<ExchangeFilter, CommandError> {
        let service = self.what.as_ref().filter(|_| self.id().is_none());
        Ok(ExchangeFilter {
            services: service.map(|text| stack.services(text)).transpose()?,
            statuses: self.status.clone(),
            methods: self.method.clone(),
            slow: self.slow,
            since: self.since,
        })
    }
}

/// `devstack requests`.
pub(crate) fn requests(files: &[PathBuf], args: &RequestsArgs) -> Result<ExitCode, CommandError> {
    with_client(files, args.json, async |options| {
        let stack = RecordedStack::find(&options).await?;
        match args.command {
            Some(RequestsCommand::Replay { id, .. }) => {
                replay::replay(&stack, stack.one(id).await?).await
            }
            None if args.follow => tokio::select! {
                followed = follow(&stack, args, &options) => followed,
                () = stdout_closed() => Ok(ExitCode::OK),
            },
            None => show(&stack, args, &options).await,
        }
    })
}

async fn show(
    stack: &RecordedStack,
    args: &RequestsArgs,
    options: &ClientOptions,
) -> Result<ExitCode, CommandError> {
    let mut records = match args.id() {
        Some(id) => vec![stack.one(id).await?],
        None => {
            let filter = args.filter(stack)?;
            let mut records = stack.all(args.har.is_some()).await?;
            records.retain(|record| filter.accepts(record));
            records.drain(..records.len().saturating_sub(args.last()));
            records
        }
    };
    if !args.secrets {
        records.iter_mut().for_each(ExchangeRecord::hide_secrets);
    }
    if let Some(path) = &args.har {
        write_report(path, har::archive(&records).as_bytes())?;
        let count = match records.len() {
            1 => "1 request".to_owned(),
            count => format!("{count} requests"),
        };
        return print(&format!("{count} written to {}\n", path.display()));
    }
    if args.json {
        return print(&records.iter().map(json_line).collect::<String>());
    }
    match (args.id(), records.as_slice()) {
        (Some(_), [record]) => return print(&exchange_text::whole(record)),
        (_, []) => warn("no requests\n"),
        (_, records) => {
            let rows = ExchangeRows::new(stack.names(), options.color);
            let lines = records.iter().map(|record| rows.line(record));
            return print(&(rows.header() + &lines.collect::<String>()));
        }
    }
    Ok(ExitCode::OK)
}

/// Returns the latest requests of a stack as text.
#[cfg(feature = "tui")]
pub(super) async fn latest_requests(snapshot: Snapshot) -> Result<String, CommandError> {
    /// Some screens.
    const MOST: usize = 200;
    let stack = RecordedStack::of(snapshot)?;
    let mut records = stack.all(false).await?;
    records.drain(..records.len().saturating_sub(MOST));
    if records.is_empty() {
        return Ok("no requests yet".to_owned());
    }
    let rows = ExchangeRows::new(stack.names(), false);
    Ok(rows.header() + &records.iter().map(|record| rows.line(record)).collect::<String>())
}

/// Shows what is there and what comes.
async fn follow(
    stack: &RecordedStack,
    args: &RequestsArgs,
    options: &ClientOptions,
) -> Result<ExitCode, CommandError> {
    if args.id().is_some() {
        let message = Message::new(MessageClass::Usage, "`-f` follows services, not one request");
        return Err(message.help("remove `-f`, or name a service").into());
    }
    let filter = args.filter(stack)?;
    let rows = ExchangeRows::new(stack.names(), options.color);
    let mut out = clean_stdout();
    let mut feed = stack.follow().await?;
    if !args.json {
        out.write_all(rows.header().as_bytes())?;
    }
    let text = |record: &mut ExchangeRecord| {
        if !args.secrets {
            record.hide_secrets();
        }
        if args.json { json_line(record) } else { rows.line(record) }
    };
    let mut earlier = feed.earlier().await?;
    earlier.retain(|record| filter.accepts(record));
    earlier.drain(..earlier.len().saturating_sub(args.last()));
    for record in &mut earlier {
        out.write_all(text(record).as_bytes())?;
    }
    out.flush()?;
    while let Some(next) = feed.next().await? {
        match next {
            FollowedExchange::Ended(mut record) => {
                if filter.accepts(&record) {
                    out.write_all(text(&mut record).as_bytes())?;
                    out.flush()?;
                }
            }
            FollowedExchange::Missed(count) => warn(&format!("missed {count} requests\n")),
        }
    }
    Ok(ExitCode::OK)
}

fn json_line(record: &ExchangeRecord) -> String {
    serde_json::to_string(record).expect("a record has only texts and numbers") + "\n"
}

fn count(text: &str) -> Result<usize, String> {
    match text {
        "all" => Ok(usize::MAX),
        text => text.parse().map_err(|_| "expected a number or `all`".to_owned()),
    }
}
