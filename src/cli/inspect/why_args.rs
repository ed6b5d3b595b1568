use clap::Args;

use crate::cli::args::FileArgs;

/// `devstack why`.
#[derive(Debug, Args)]
pub struct WhyArgs {
    #[command(flatten)]
    pub files: FileArgs,
    /// Service name
    pub service: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
