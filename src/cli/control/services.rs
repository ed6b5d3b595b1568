use std::io::{IsTerminal, Write, stderr};
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::orphan_cleanup::OrphanCleanup;
use crate::cli::ClientOptions;
use crate::cli::args::FileArgs;
use crate::cli::render::{CommandError, warn};
use crate::control::{ClientError, ControlClient};
use crate::exit_code::ExitCode;
use crate::text::join;

/// How long an answer may take before what it waits for is said.
const SILENT: Duration = Duration::from_secs(2);

/// A command about services.
#[derive(Debug, Args)]
pub struct ServicesArgs {
    #[command(flatten)]
    pub files: FileArgs,
    /// Service names; not needed if there is only one
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

/// What a command does to services. Each waits until it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServicesAction {
    /// Starts services with their dependencies.
    Start,
    /// Stops them.
    Stop,
    /// Restarts or starts them.
    Restart,
    /// Restarts or starts them in debug mode.
    Debug,
    /// Restarts them in run mode.
    Undebug,
}

/// `devstack start SERVICE…`, and so on.
pub async fn change(
    options: &ClientOptions,
    action: ServicesAction,
    services: &[String],
    out: &mut dyn Write,
) -> Result<ExitCode, CommandError> {
    let services = options.all_named(services).await?;
    let client = options.client()?;
    let answer = async {
        match action {
            ServicesAction::Start => client.start(&services).await,
            ServicesAction::Stop => client.stop(&services).await,
            ServicesAction::Restart => client.restart(&services).await,
            ServicesAction::Debug => client.debug(&services).await,
            ServicesAction::Undebug => client.undebug(&services).await,
        }
    };
    print_result(&answer_of(answer, &client, options).await?, options.json, out)
}

/// `devstack down`: stops the stack in this directory and waits until its devstack has exited. If
/// none runs, cleans up after a killed one.
pub async fn down(options: &ClientOptions, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
    let answer = async {
        let client = options.client()?;
        answer_of(client.down(), &client, options).await
    };
    let answer = match answer.await {
        Err(failure @ ClientError::NotRunning(_)) => clean_up_orphans(options, failure),
        other => other,
    };
    print_result(&answer?, options.json, out)
}

/// Waits for an answer. If that takes long, says once what is waited for, at a terminal.
async fn answer_of(
    answer: impl Future<Output = Result<String, ClientError>>,
    client: &ControlClient,
    options: &ClientOptions,
) -> Result<String, ClientError> {
    let say = async {
        tokio::time::sleep(SILENT).await;
        if !options.json
            && stderr().is_terminal()
            && let Ok(snapshot) = client.stack().await
            && let open @ [_, ..] = &*snapshot.in_progress().collect::<Vec<_>>()
        {
            let open = open.iter();
            let open = open.map(|one| format!("{} is {} ({})", one.name, one.phase, one.cause));
            warn(&format!("still waiting: {}\n", join(open, "; ")));
        }
        std::future::pending().await
    };
    tokio::select! {
        answer = answer => answer,
        answer = say => answer,
    }
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

/// Prints what a stack answered.
pub(crate) fn print_result(
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
