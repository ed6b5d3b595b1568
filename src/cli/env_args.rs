use clap::{Args, ValueEnum};

use super::args::Files;

/// `devstack env`.
#[derive(Debug, Args)]
#[command(after_help = "To have it in a shell: eval \"$(devstack env api --format shell)\"")]
pub struct Env {
    #[command(flatten)]
    pub files: Files,
    /// The service
    #[arg(value_name = "SERVICE")]
    pub service: String,
    /// Show where each value comes from, and what it hides
    #[arg(long, conflicts_with = "format")]
    pub explain: bool,
    /// Also what devstack itself inherited and nobody changed
    #[arg(long)]
    pub all: bool,
    /// How it is written
    #[arg(long, value_enum, default_value_t = EnvForm::Dotenv)]
    pub format: EnvForm,
    /// Print JSON: the same as --format json
    #[arg(long)]
    pub json: bool,
}

/// How an environment is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EnvForm {
    /// As env files are
    Dotenv,
    /// For a shell to read: export NAME='value'
    Shell,
    /// With where each value comes from, and what it hides
    Json,
}

/// `devstack exec`.
#[derive(Debug, Args)]
pub struct Exec {
    #[command(flatten)]
    pub files: Files,
    /// The service
    #[arg(value_name = "SERVICE")]
    pub service: String,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    pub command: Vec<std::ffi::OsString>,
}
