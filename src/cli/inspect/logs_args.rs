use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::control::LogPattern;
use crate::log::StatusMode;
use crate::model::{CursorKind, CursorText, InvalidCursor};

/// `devstack logs`.
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// Configuration file; can be repeated, later files override earlier ones [default: devstack.toml, Procfile.dev or Procfile in this or a parent directory]
    #[arg(long = "file", value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Services to show [default: all]
    pub services: Vec<String>,
    /// Follow new output
    #[arg(short, long)]
    pub follow: bool,
    /// Number of lines per service, or `all` [default: 100; all with --since or --grep]
    #[arg(short = 'n', long = "lines", value_name = "N", value_parser = count)]
    pub lines: Option<usize>,
    /// Only lines since this time: 90s, 10m, 2h or 3d (ago), 09:30, 2026-11-20, 2026-11-20T09:30:00Z
    #[arg(long, value_name = "TIME", value_parser = super::since::since)]
    pub since: Option<i64>,
    /// Only lines that match this regular expression; begin it with (?i) to ignore case
    #[arg(long, value_name = "PATTERN", value_parser = pattern)]
    pub grep: Option<LogPattern>,
    /// Only lines from this stream
    #[arg(long, value_name = "STREAM")]
    pub stream: Option<Stream>,
    /// Show devstack's own status lines [default: yes; no with --json, --grep and --stream]
    #[arg(long = "said", value_name = "WHEN", num_args = 0..=1, require_equals = true, default_missing_value = "yes",
          conflicts_with = "stream")]
    pub status: Option<StatusLinesArg>,
    /// Only lines after this cursor, from an earlier call; prints the next cursor at the end
    #[arg(long, value_name = "CURSOR", value_parser = cursor, conflicts_with_all = ["lines", "since"])]
    pub after: Option<CursorText>,
    /// Print a cursor for --after at the end: as the last object with --json, else on stderr
    #[arg(long)]
    pub cursor: bool,
    /// With --json: also the start of a line whose end has not come; the whole line follows
    #[arg(long)]
    pub unfinished: bool,
    #[command(flatten)]
    pub shown: LogStyleArgs,
    /// Print one JSON object per line; same as --output json
    #[arg(long)]
    pub json: bool,
}

/// How the log looks.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct LogStyleArgs {
    /// Prefix each line with the time
    #[arg(long)]
    pub timestamps: bool,
    /// Do not prefix lines with the service name
    #[arg(long)]
    pub no_prefix: bool,
    /// Output format
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub output: LogFormat,
}

impl LogStyleArgs {
    /// Returns whether the output is JSON.
    pub fn is_json(self) -> bool {
        self.output == LogFormat::Json
    }
}

/// What the log is printed as.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Prefixed lines, colored on a terminal.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Whether what devstack itself said is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StatusLinesArg {
    /// Between service lines.
    Yes,
    /// Do not show them.
    No,
    /// Show only them.
    Only,
}

/// Which output of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl LogsArgs {
    /// Returns how many existing lines of each service to show; `None`: all. Searches show all.
    pub fn last(&self) -> Option<usize> {
        /// A screen or two.
        const USUAL: usize = 100;
        let searches = self.since.is_some() || self.grep.is_some();
        let last = self.lines.or((!searches).then_some(USUAL));
        last.filter(|last| *last != usize::MAX)
    }

    /// Returns whether the output is JSON.
    pub fn is_json(&self) -> bool {
        self.json || self.shown.is_json()
    }

    /// Returns whether to show starts of lines. In JSON, where every object is a line that counts, only
    /// for programs that ask for them.
    pub fn shows_unfinished(&self) -> bool {
        self.unfinished || !self.is_json()
    }

    /// Returns whether to show status lines; not by default in JSON, where programs expect lines, and
    /// in searches.
    pub fn narration(&self) -> StatusMode {
        match (self.status, self.is_json() || self.grep.is_some()) {
            (Some(StatusLinesArg::Yes), _) | (None, false) => StatusMode::With,
            (Some(StatusLinesArg::No), _) | (None, true) => StatusMode::Without,
            (Some(StatusLinesArg::Only), _) => StatusMode::Only,
        }
    }
}

impl From<Stream> for crate::model::OutputStream {
    fn from(stream: Stream) -> crate::model::OutputStream {
        match stream {
            Stream::Stdout => crate::model::OutputStream::Stdout,
            Stream::Stderr => crate::model::OutputStream::Stderr,
        }
    }
}

/// Parses a number of lines; `all` is the maximum.
fn count(text: &str) -> Result<usize, String> {
    match text {
        "all" => Ok(usize::MAX),
        text => text.parse().map_err(|_| "expected a number or `all`".to_owned()),
    }
}

fn cursor(text: &str) -> Result<CursorText, InvalidCursor> {
    CursorText::parse(CursorKind::Log, text)
}

fn pattern(text: &str) -> Result<LogPattern, String> {
    LogPattern::new(text).map_err(|message| message.text)
}
