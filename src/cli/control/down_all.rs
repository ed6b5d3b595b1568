use std::io::{self, Write};

use serde::Serialize;
use tokio::task::JoinSet;

use super::orphan_cleanup::summary;
use crate::cli::ClientOptions;
use crate::cli::inspect::{StackEntry, json_of_all, say_none};
use crate::cli::render::{CommandError, received_text};
use crate::control::{ClientError, ControlClient, CrashedInstance, LocatedInstance, StateDir};
use crate::exit_code::ExitCode;
use crate::model::{Message, MessageClass};
use crate::process;
use crate::process::CleanupReport;
use crate::supervisor::containers::remove_left;
use crate::text::one_line;

/// Result for one stack: what was done, or why it still runs.
struct DownResult {
    entry: StackEntry,
    result: Result<String, ClientError>,
}

/// `devstack down --all`: stops all stacks of this user at once, and cleans up after killed ones.
pub async fn down_all(
    options: &ClientOptions,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<ExitCode, CommandError> {
    let mut under_way = JoinSet::new();
    for stack in LocatedInstance::all() {
        under_way.spawn(async move { Some(stop(stack).await) });
    }
    for stack in CrashedInstance::all() {
        under_way.spawn_blocking(move || clear(&stack));
    }
    let mut outcomes = Vec::new();
    // In order of completion: a slow stack does not delay the reports on others.
    while let Some(outcome) = under_way.join_next().await {
        let Ok(Some(outcome)) = outcome else { continue };
        if !options.json
            && let Err(error) = say(&outcome, out, err)
        {
            // The output is closed; the stacks are stopped nevertheless.
            tracing::debug!(%error, "cannot report on a stack");
        }
        outcomes.push(outcome);
    }
    let failed = outcomes.iter().any(|outcome| outcome.result.is_err());
    let closed = close(options, outcomes, out, err);
    if failed {
        return Ok(ExitCode::FAILED);
    }
    closed?;
    Ok(ExitCode::OK)
}

async fn stop(stack: LocatedInstance) -> DownResult {
    let entry = StackEntry::new(stack.found.holder.as_ref(), &stack.dir);
    let result = match ControlClient::of(stack.found.clone()).down().await {
        // It exited on its own meanwhile, so it is stopped as requested.
        Err(ClientError::NotRunning(_)) if !stack.found.is_running() => {
            Ok("the stack has stopped".to_owned())
        }
        other => other,
    };
    DownResult { entry, result }
}

/// Cleans up after a killed devstack; `None` if nothing was left. Blocks for a few seconds at most.
fn clear(stack: &CrashedInstance) -> Option<DownResult> {
    let mut swept = CleanupReport::default();
    let settled = stack.clean_up(|| {
        let record = stack.state_dir.as_ref().map(StateDir::process_record);
        swept = remove_left(process::clean_up(record.as_deref(), stack.holder.token.as_deref()));
        swept.is_clean()
    });
    let result = match (summary(&swept), settled) {
        (Ok(None), Ok(())) => return None,
        (Ok(Some(text)), _) => Ok(text),
        (Ok(None), Err(error)) => {
            let text = format!("cannot clean up after a killed devstack: {error}");
            Err(ClientError::Refused(Message::new(MessageClass::Denied, text)))
        }
        (Err(failure), _) => Err(failure),
    };
    Some(DownResult { entry: StackEntry::new(Some(&stack.holder), &stack.dir), result })
}

fn say(outcome: &DownResult, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<()> {
    let who = format!("{} in {}", outcome.entry.name(), outcome.entry.shown_dir);
    match &outcome.result {
        Ok(text) => writeln!(out, "{who}: {}", one_line(text)).and_then(|()| out.flush()),
        Err(failure) => {
            let message = failure.message();
            let text = format!("{who}: {}", message.text);
            err.write_all(received_text(&Message { text, ..message.clone() }).as_bytes())
        }
    }
}

/// Prints what follows when all are done.
fn close(
    options: &ClientOptions,
    outcomes: Vec<DownResult>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<()> {
    if options.json {
        writeln!(out, "{}", json(outcomes))?;
    } else if outcomes.is_empty() {
        say_none(err);
    }
    out.flush()
}

fn json(outcomes: Vec<DownResult>) -> String {
    let stack = |DownResult { entry, result }| {
        let error = result.as_ref().err().map(|failure: &ClientError| failure.message().clone());
        DownEntry { entry, text: result.ok(), error }
    };
    let mut stacks: Vec<DownEntry> = outcomes.into_iter().map(stack).collect();
    stacks.sort_by(|one, other| one.entry.dir.cmp(&other.entry.dir));
    json_of_all(stacks)
}

#[derive(Serialize)]
struct DownEntry {
    #[serde(flatten)]
    entry: StackEntry,
    /// What was done.
    text: Option<String>,
    /// Why it still runs.
    error: Option<Message>,
}
