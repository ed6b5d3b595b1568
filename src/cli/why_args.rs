use clap::Args;

use super::args::Files;

/// `devstack why`.
#[derive(Debug, Args)]
pub struct Why {
    #[command(flatten)]
    pub files: Files,
    /// Service name
    pub service: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
