use std::io::Write;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::ps::now;
use super::stack_entry::{StackEntry, json_of_all, say_none};
use crate::cli::ClientOptions;
use crate::cli::render::{CommandError, clean_stderr, stacks_table};
use crate::control::{ClientError, ControlClient, LocatedInstance};
use crate::exit_code::ExitCode;
use crate::model::{Message, Snapshot};

/// `devstack ps --all`: lists all stacks of this user; one that does not respond is no error.
pub async fn ps_all(
    options: &ClientOptions,
    out: &mut dyn Write,
) -> Result<ExitCode, CommandError> {
    let mut stacks = ask_all(LocatedInstance::all()).await;
    // Within a repository they stay sorted by directory.
    stacks.sort_by(|(one, _), (other, _)| {
        let group = |entry: &StackEntry| (entry.repository.is_none(), entry.repository.clone());
        group(one).cmp(&group(other))
    });
    if stacks.is_empty() && !options.json {
        say_none(&mut clean_stderr());
    }
    show(options, stacks, out)?;
    Ok(ExitCode::OK)
}

/// Asks all stacks at once, with the same time limit. Omits those that stopped meanwhile.
async fn ask_all(stacks: Vec<LocatedInstance>) -> Vec<(StackEntry, Result<Value, ClientError>)> {
    let ask = |stack: LocatedInstance| {
        tokio::spawn(async move {
            let answer = ControlClient::of(stack.found.clone()).stack_json().await;
            let answer = answer.and_then(|json| {
                serde_json::from_slice::<Value>(&json).map_err(ClientError::unreadable_response)
            });
            let ended =
                matches!(answer, Err(ClientError::NotRunning(_))) && !stack.found.is_running();
            let entry = StackEntry::new(stack.found.holder.as_ref(), &stack.dir);
            (!ended).then_some((entry, answer))
        })
    };
    let asked: Vec<_> = stacks.into_iter().map(ask).collect();
    let mut answers = Vec::new();
    for answer in asked {
        // The task can only fail with a panic, which has been printed.
        answers.extend(answer.await.ok().flatten());
    }
    answers
}

fn show(
    options: &ClientOptions,
    stacks: Vec<(StackEntry, Result<Value, ClientError>)>,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    if options.json {
        writeln!(out, "{}", json(stacks))?;
    } else if !stacks.is_empty() {
        out.write_all(text(stacks, now()?, options.color).as_bytes())?;
    }
    Ok(out.flush()?)
}

fn text(
    stacks: Vec<(StackEntry, Result<Value, ClientError>)>,
    now: Timestamp,
    color: bool,
) -> String {
    let read =
        |value| serde_json::from_value::<Snapshot>(value).map_err(ClientError::unreadable_response);
    let read: Vec<_> =
        stacks.into_iter().map(|(entry, answer)| (entry, answer.and_then(read))).collect();
    stacks_table(&read, now, color)
}

fn json(stacks: Vec<(StackEntry, Result<Value, ClientError>)>) -> String {
    let stack = |(entry, answer): (StackEntry, Result<Value, ClientError>)| {
        let error = answer.as_ref().err().map(|failure| failure.message().clone());
        StackListing { entry, snapshot: answer.ok(), error }
    };
    json_of_all(stacks.into_iter().map(stack).collect())
}

#[derive(Serialize)]
struct StackListing {
    #[serde(flatten)]
    entry: StackEntry,
    /// As received: fields unknown to this version are kept.
    snapshot: Option<Value>,
    /// Why there is no snapshot.
    error: Option<Message>,
}
