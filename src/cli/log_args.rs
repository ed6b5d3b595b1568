use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::control::Pattern;
use crate::runtime::log::Narration;

/// `devstack logs`.
#[derive(Debug, Args)]
pub struct Logs {
    /// Configuration file; may be repeated, later over earlier
    #[arg(long = "file", value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The services [default: all]
    pub services: Vec<String>,
    /// Go on with what comes
    #[arg(short, long)]
    pub follow: bool,
    /// How many lines of each service, or `all` [default: 100; all with --since or --grep]
    #[arg(short = 'n', long = "lines", value_name = "N", value_parser = count)]
    pub lines: Option<usize>,
    /// Only lines since then: 90s, 10m, 2h or 3d ago; 09:30; 2026-11-20; 2026-11-20T09:30:00Z
    #[arg(long, value_name = "TIME", value_parser = super::since::since)]
    pub since: Option<i64>,
    /// Only lines in which this regular expression is found; (?i) at its start ignores case
    #[arg(long, value_name = "PATTERN", value_parser = pattern)]
    pub grep: Option<Pattern>,
    /// Only lines of this stream
    #[arg(long, value_name = "STREAM")]
    pub stream: Option<Stream>,
    /// Whether to show what devstack itself said [default: yes; no with --json, --grep and --stream]
    #[arg(long, value_name = "WHETHER", num_args = 0..=1, require_equals = true, default_missing_value = "yes",
          conflicts_with_all = ["grep", "stream"])]
    pub said: Option<Saying>,
    #[command(flatten)]
    pub shown: Shown,
    /// Print one JSON object a line: the same as --output json
    #[arg(long)]
    pub json: bool,
}

/// How the log looks.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Shown {
    /// Begin each line with the time
    #[arg(long)]
    pub timestamps: bool,
    /// Begin no line with the name of its service
    #[arg(long)]
    pub no_prefix: bool,
    /// Print lines as people read them, or one JSON object for each
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub output: Form,
}

/// What the log is printed as.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// Lines with a prefix, in colours on a terminal.
    #[default]
    Text,
    /// One object a line.
    Json,
}

/// Whether what devstack itself said is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Saying {
    /// Between the lines of the services.
    Yes,
    /// Not at all.
    No,
    /// Nothing else.
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

impl Logs {
    /// How many lines of each service to show at first; `None`: all. Who searches wants what is there.
    pub fn last(&self) -> Option<usize> {
        /// A screen or two.
        const USUAL: usize = 100;
        let searches = self.since.is_some() || self.grep.is_some();
        let last = self.lines.or((!searches).then_some(USUAL));
        last.filter(|last| *last != usize::MAX)
    }

    /// Whether it is printed as JSON.
    pub fn is_json(&self) -> bool {
        self.json || self.shown.output == Form::Json
    }

    /// Whether to show what devstack itself said. Programs that read lines are not surprised by it.
    pub fn narration(&self) -> Narration {
        match (self.said, self.is_json()) {
            (Some(Saying::Yes), _) | (None, false) => Narration::With,
            (Some(Saying::No), _) | (None, true) => Narration::Without,
            (Some(Saying::Only), _) => Narration::Only,
        }
    }
}

impl From<Stream> for crate::model::Stream {
    fn from(stream: Stream) -> crate::model::Stream {
        match stream {
            Stream::Stdout => crate::model::Stream::Stdout,
            Stream::Stderr => crate::model::Stream::Stderr,
        }
    }
}

/// A count of lines; all of them is the most there is.
fn count(text: &str) -> Result<usize, String> {
    match text {
        "all" => Ok(usize::MAX),
        text => text.parse().map_err(|_| "write a number or `all`".to_owned()),
    }
}

fn pattern(text: &str) -> Result<Pattern, String> {
    Pattern::new(text).map_err(|message| message.text)
}
