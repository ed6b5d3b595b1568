use std::io::{self, Write};
use std::pin::pin;
use std::time::Duration;

use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};
use serde::Deserialize;

use super::services::print_result;
use super::wait_progress::WaitProgress;
use crate::cli::ClientOptions;
use crate::cli::args::{FileArgs, duration};
use crate::cli::render::CommandError;
use crate::control::{ClientError, ControlClient, WaitUpdate};
use crate::exit_code::ExitCode;
use crate::model::{DisplayDuration, EventView, Message, MessageClass, Snapshot, WaitCondition};

/// `devstack wait`.
#[derive(Debug, Args)]
pub struct WaitArgs {
    #[command(flatten)]
    pub files: FileArgs,
    /// Services to wait for [default: all requested services]
    pub services: Vec<String>,
    /// Condition to wait for [default: services ready, tasks completed]
    #[arg(long = "for", value_name = "WHAT", value_enum)]
    pub what: Option<WaitCondition>,
    /// Give up after this time, such as 90s or 5m
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

impl ValueEnum for WaitCondition {
    fn value_variants<'a>() -> &'a [WaitCondition] {
        &[WaitCondition::Ready, WaitCondition::Completed, WaitCondition::Stopped]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let (name, help) = match self {
            WaitCondition::Up => return None,
            WaitCondition::Ready => ("ready", "Every service is ready; completed tasks count"),
            WaitCondition::Completed => ("completed", "Every service has exited successfully"),
            WaitCondition::Stopped => (
                "stopped",
                "No service is running or will start on its own; also when the whole stack has stopped",
            ),
        };
        Some(PossibleValue::new(name).help(help))
    }
}

/// Time limit for the answer after the timeout, if the condition already looks true.
const FINAL_CHECK: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
struct SnapshotLine {
    stack: Snapshot,
}

/// `devstack wait`: waits until services are ready, completed or stopped. Prints progress to `err`
/// and the result to `out`.
pub async fn wait(
    control: &ClientOptions,
    args: &WaitArgs,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<ExitCode, CommandError> {
    print_result(&wait_with_progress(control, args, err).await?, control.json, out)
}

async fn wait_with_progress(
    control: &ClientOptions,
    args: &WaitArgs,
    err: &mut dyn Write,
) -> Result<String, CommandError> {
    let what = args.what.unwrap_or_default();
    let client = control.client()?;
    let mut updates = client.wait(&args.services, what).await?;
    let mut progress = WaitProgress::new(&args.services, what);
    let mut limit = pin!(limit(args.timeout));
    let mut up = false;
    loop {
        let update = tokio::select! {
            biased;
            update = updates.next() => Some(update),
            () = &mut limit => None,
        };
        match update {
            Some(WaitUpdate::Answer(answer)) => return Ok(or_ended(answer, what)?),
            Some(WaitUpdate::Event(_)) if control.json => {}
            Some(WaitUpdate::Event(line)) => say(&mut progress, &line, err)?,
            None => {
                let missing = missing(&client, &progress).await?;
                if up || !missing.is_empty() {
                    return Err(late(what, args.timeout, &missing).into());
                }
                up = true;
                limit.set(self::limit(Some(FINAL_CHECK)));
            }
        }
    }
}

async fn limit(timeout: Option<Duration>) {
    match timeout {
        Some(timeout) => tokio::time::sleep(timeout).await,
        None => std::future::pending().await,
    }
}

fn say(progress: &mut WaitProgress, line: &[u8], err: &mut dyn Write) -> io::Result<()> {
    // A newer devstack may send events that this version does not know.
    let status = match serde_json::from_slice::<EventView>(line) {
        Ok(event) => progress.handle_event(&event),
        Err(_) => serde_json::from_slice::<SnapshotLine>(line)
            .map_or_else(|_| Vec::new(), |begin| progress.start(&begin.stack)),
    };
    for text in status {
        writeln!(err, "{text}")?;
    }
    err.flush()
}

/// Counts a stopped stack as stopped services.
fn or_ended(
    answer: Result<String, ClientError>,
    what: WaitCondition,
) -> Result<String, ClientError> {
    match answer {
        Err(ClientError::NotRunning(_)) if what == WaitCondition::Stopped => {
            Ok("the stack has stopped".to_owned())
        }
        answer => answer,
    }
}

/// Returns what is not true yet.
async fn missing(
    client: &ControlClient,
    progress: &WaitProgress,
) -> Result<Vec<String>, ClientError> {
    match client.stack().await {
        Ok(now) => Ok(progress.missing(&now)),
        // The answer to the wait request is more specific.
        Err(ClientError::NotRunning(_)) => Ok(Vec::new()),
        Err(failure) => Err(failure),
    }
}

fn late(what: WaitCondition, timeout: Option<Duration>, missing: &[String]) -> ClientError {
    let what = match what {
        WaitCondition::Up | WaitCondition::Ready => "ready",
        WaitCondition::Completed => "completed",
        WaitCondition::Stopped => "stopped",
    };
    let limit = DisplayDuration(timeout.unwrap_or_default());
    let text = format!("not {what} within {limit}: {}", missing.join(", "));
    let help = "run `devstack why SERVICE` for details; work already requested continues";
    ClientError::Refused(Message::new(MessageClass::ReadyTimeout, text).help(help))
}
