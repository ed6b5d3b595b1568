use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::service_env::{EnvViewSource, NOT_RUNNING_NOTE, service_env};
use crate::cli::args::FileArgs;
use crate::cli::render::{CommandError, EnvText, dotenv, print, print_exact, shell, table, warn};
use crate::exit_code::ExitCode;
use crate::model::{EnvView, VariableSource};

/// `devstack env`.
#[derive(Debug, Args)]
#[command(after_help = "To load it into a shell: eval \"$(devstack env api --format shell)\"")]
pub struct EnvArgs {
    #[command(flatten)]
    pub files: FileArgs,
    /// Service name
    #[arg(value_name = "SERVICE")]
    pub service: String,
    /// Show where each value comes from and what it overrides
    #[arg(long, conflicts_with = "format")]
    pub explain: bool,
    /// Include variables inherited unchanged by devstack
    #[arg(long)]
    pub all: bool,
    /// Output format
    #[arg(long, value_enum, default_value_t = EnvFormat::Dotenv)]
    pub format: EnvFormat,
    /// Print JSON; same as --format json
    #[arg(long)]
    pub json: bool,
}

impl EnvArgs {
    /// Returns whether the output is JSON.
    pub fn is_json(&self) -> bool {
        self.json || self.format == EnvFormat::Json
    }
}

/// How an environment is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EnvFormat {
    /// As in env files
    Dotenv,
    /// For a shell to evaluate: export NAME='value'
    Shell,
    /// With the source of each value and what it overrides
    Json,
}

/// `devstack env SERVICE`: prints the environment of a service.
pub(crate) fn env(files: Vec<PathBuf>, args: &EnvArgs) -> Result<ExitCode, CommandError> {
    let form = if args.json { EnvFormat::Json } else { args.format };
    let (mut view, source) = service_env(files, &args.service)?;
    view.variables.retain(|variable| args.all || variable.source != VariableSource::Inherited);
    if let EnvViewSource::Files = source {
        warn(NOT_RUNNING_NOTE);
    }
    let text = text(&view, form, args.explain);
    match form {
        EnvFormat::Dotenv | EnvFormat::Shell if !args.explain => print_exact(&text),
        EnvFormat::Dotenv | EnvFormat::Shell | EnvFormat::Json => {
            print(&String::from_utf8_lossy(&text))
        }
    }
}

fn text(view: &EnvView, form: EnvFormat, explain: bool) -> Vec<u8> {
    let EnvText { text, left_out } = match form {
        EnvFormat::Json => {
            let mut text = serde_json::to_vec(view).expect("environments serialize to JSON");
            text.push(b'\n');
            return text;
        }
        _ if explain => {
            return table(view, &std::env::current_dir().unwrap_or_default()).into_bytes();
        }
        EnvFormat::Dotenv => dotenv(view),
        EnvFormat::Shell => shell(view),
    };
    if !left_out.is_empty() {
        let names = left_out.join(", ");
        warn(&format!(
            "note: omitted because this format cannot represent them: {names}; use --format json\n"
        ));
    }
    text
}
