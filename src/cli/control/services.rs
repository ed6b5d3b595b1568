use std::io::Write;

use clap::Args;
use serde_json::json;

use super::orphan_cleanup::OrphanCleanup;
use crate::cli::ClientOptions;
use crate::cli::args::FileArgs;
use crate::cli::render::CommandError;
use crate::control::ClientError;
use crate::exit_code::ExitCode;

/// A command about services.
#[derive(Debug, Args)]
pub struct ServicesArgs {
    #[command(flatten)]
    pub files: FileArgs,
    /// Service names
    #[arg(required = true)]
    pub services: Vec<String>,
    /// Print errors as JSON
    #[arg(long)]
    pub json: bool,
}

/// `devstack debug`.
#[derive(Debug, Args)]
pub struct DebugArgs {
    #[command(flatten)]
    pub services: ServicesArgs,
    /// Switch back to run mode
    #[arg(long)]
    pub off: bool,
}

/// `devstack start SERVICE…`: starts services with their dependencies; waits until they run.
pub async fn start(
    options: &ClientOptions,
    services: &[String],
    out: &mut dyn Write,
) -> Result<ExitCode, CommandError> {
    let answer = async { options.client()?.start(services).await };
    print_answer(options, answer, out).await
}

/// `devstack stop SERVICE…`: stops services; waits until they have stopped.
pub async fn stop(
    options: &ClientOptions,
    services: &[String],
    out: &mut dyn Write,
) -> Result<ExitCode, CommandError> {
    let answer = async { options.client()?.stop(services).await };
    print_answer(options, answer, out).await
}

/// `devstack restart SERVICE…`: restarts or starts services; waits until they run.
pub async fn restart(
    options: &ClientOptions,
    services: &[String],
    out: &mut dyn Write,
) -> Result<ExitCode, CommandError> {
    let answer = async { options.client()?.restart(services).await };
    print_answer(options, answer, out).await
}

/// `devstack debug SERVICE…`: restarts services in debug mode (`on`) or back in run mode.
pub async fn debug(
    options: &ClientOptions,
    services: &[String],
    on: bool,
    out: &mut dyn Write,
) -> Result<ExitCode, CommandError> {
    let answer = async {
        let client = options.client()?;
        if on { client.debug(services).await } else { client.undebug(services).await }
    };
    print_answer(options, answer, out).await
}

/// `devstack down`: stops the stack in this directory and waits until its devstack has exited. If
/// none runs, cleans up after a killed one.
pub async fn down(options: &ClientOptions, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
    let answer = async {
        match async { options.client()?.down().await }.await {
            Err(failure @ ClientError::NotRunning(_)) => clean_up_orphans(options, failure),
            other => other,
        }
    };
    print_answer(options, answer, out).await
}

fn clean_up_orphans(
    options: &ClientOptions,
    not_running: ClientError,
) -> Result<String, ClientError> {
    // An explicit socket may belong to another directory.
    let left = options.socket.is_none().then(|| OrphanCleanup::find(&options.dir)).flatten();
    let ended = left.map_or(Ok(None), |left| left.run())?;
    ended.ok_or(not_running)
}

async fn print_answer(
    options: &ClientOptions,
    answer: impl Future<Output = Result<String, ClientError>>,
    out: &mut dyn Write,
) -> Result<ExitCode, CommandError> {
    print_result(&answer.await?, options.json, out)
}

/// Prints what a stack answered.
pub(super) fn print_result(
    text: &str,
    as_json: bool,
    out: &mut dyn Write,
) -> Result<ExitCode, CommandError> {
    match as_json {
        true => writeln!(out, "{}", json!({ "text": text }))?,
        false => writeln!(out, "{text}")?,
    }
    out.flush()?;
    Ok(ExitCode::OK)
}
