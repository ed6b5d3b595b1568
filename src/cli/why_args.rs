use clap::Args;

use super::args::FileArgs;

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
