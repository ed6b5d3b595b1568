use clap::{Args, ValueEnum};

use crate::cli::args::FileArgs;

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
    /// With the origin of each value and what it overrides
    Json,
}

/// `devstack exec`.
#[derive(Debug, Args)]
pub struct ExecArgs {
    #[command(flatten)]
    pub files: FileArgs,
    /// Service name
    #[arg(value_name = "SERVICE")]
    pub service: String,
    /// Command to run, with its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    pub command: Vec<std::ffi::OsString>,
}
