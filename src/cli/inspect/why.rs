use std::io::Write;

use clap::Args;

use super::ps::now;
use crate::cli::ClientOptions;
use crate::cli::args::FileArgs;
use crate::cli::render::{CommandError, why_text};
use crate::exit_code::ExitCode;

/// `devstack why`.
#[derive(Debug, Args)]
pub struct WhyArgs {
    #[command(flatten)]
    pub files: FileArgs,
    /// Service name; not needed if there is only one
    pub service: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `devstack why SERVICE`: explains a service's state; with `json`, prints the data as received.
pub async fn why(
    options: &ClientOptions,
    service: Option<&str>,
    out: &mut dyn Write,
) -> Result<ExitCode, CommandError> {
    let client = options.client()?;
    let service = options.named(service).await?;
    if options.json {
        out.write_all(&client.why_json(&service).await?)?;
    } else {
        let why = client.why(&service).await?;
        out.write_all(why_text(&why, now()?, options.color).as_bytes())?;
    }
    out.flush()?;
    Ok(ExitCode::OK)
}
