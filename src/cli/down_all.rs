use std::io::{self, Write};

use serde::Serialize;
use tokio::task::JoinSet;

use super::ControlOptions;
use super::complain::{Trouble, complain, end, printable};
use super::left_behind::{LeftBehind, told};
use super::stack_entry::{StackEntry, json_of_all, say_none};
use crate::control::{Abandoned, Client, Failure, Located};
use crate::error::exit;
use crate::model::{Class, Message};
use crate::runtime::process::{self, Swept};

/// What became of one stack: what there is to say, or why it is not gone.
struct Outcome {
    entry: StackEntry,
    result: Result<String, Failure>,
}

/// `devstack down --all`: stops every stack of this user at once and says of each what became of it; ends what killed ones
/// left, too. Gives the exit code.
pub async fn down_all(options: &ControlOptions, out: &mut dyn Write, err: &mut dyn Write) -> i32 {
    let mut under_way = JoinSet::new();
    for stack in Located::all() {
        under_way.spawn(async move { Some(stop(stack).await) });
    }
    for stack in Abandoned::all() {
        under_way.spawn_blocking(move || clear(&stack));
    }
    let mut outcomes = Vec::new();
    // In the order in which they come to an end: one that takes long keeps nobody waiting.
    while let Some(outcome) = under_way.join_next().await {
        let Ok(Some(outcome)) = outcome else { continue };
        if !options.json
            && let Err(error) = say(&outcome, out, err)
        {
            // Nobody listens any more; what was asked for goes on.
            tracing::debug!(%error, "cannot say what became of a stack");
        }
        outcomes.push(outcome);
    }
    let failed = outcomes.iter().any(|outcome| outcome.result.is_err());
    let code = end(close(options, outcomes, out, err).map_err(Trouble::Output), options.json, err);
    if failed { exit::FAILED } else { code }
}

async fn stop(stack: Located) -> Outcome {
    let entry = StackEntry::new(stack.found.holder.as_ref(), &stack.folder);
    let result = match Client::of(stack.found.clone()).down().await {
        // It ended by itself meanwhile: what was asked is so.
        Err(Failure::NotRunning(_)) if !stack.found.is_running() => {
            Ok("the stack has ended".to_owned())
        }
        other => other,
    };
    Outcome { entry, result }
}

/// Ends what a killed one left. `None`: it left nothing. Blocks for some seconds at most.
fn clear(stack: &Abandoned) -> Option<Outcome> {
    let mut swept = Swept::default();
    let settled = stack.settle(|| {
        let record = stack.state_dir.as_deref().map(LeftBehind::record);
        let by_record = record.as_deref().map_or(Swept::default(), process::sweep);
        // Also when there was a record: it may be that of another stack of the same folder.
        let by_mark = stack.holder.token.as_deref().map_or(Swept::default(), process::sweep_marked);
        swept = by_record.and(by_mark);
        swept.is_clean()
    });
    let result = match (told(&swept), settled) {
        (Ok(None), Ok(())) => return None,
        (Ok(Some(text)), _) => Ok(text),
        (Ok(None), Err(error)) => {
            let text = format!("cannot clean up after a devstack that was killed: {error}");
            Err(Failure::Refused(Message::new(Class::Denied, text)))
        }
        (Err(failure), _) => Err(failure),
    };
    Some(Outcome { entry: StackEntry::new(Some(&stack.holder), &stack.folder), result })
}

fn say(outcome: &Outcome, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<()> {
    let who = format!("{} in {}", outcome.entry.name(), outcome.entry.shown_dir);
    match &outcome.result {
        Ok(text) => writeln!(out, "{who}: {}", printable(text)).and_then(|()| out.flush()),
        Err(failure) => {
            let message = failure.message();
            let text = format!("{who}: {}", message.text);
            complain(&Message { text, ..message.clone() }, false, err)
        }
    }
}

/// What is said when all have come to an end.
fn close(
    options: &ControlOptions,
    outcomes: Vec<Outcome>,
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

fn json(outcomes: Vec<Outcome>) -> String {
    let stack = |Outcome { entry, result }| {
        let error = result.as_ref().err().map(|failure: &Failure| failure.message().clone());
        Stack { entry, text: result.ok(), error }
    };
    let mut stacks: Vec<Stack> = outcomes.into_iter().map(stack).collect();
    stacks.sort_by(|one, other| one.entry.dir.cmp(&other.entry.dir));
    json_of_all(stacks)
}

/// What `--json` prints of one.
#[derive(Serialize)]
struct Stack {
    #[serde(flatten)]
    entry: StackEntry,
    /// What is so now.
    text: Option<String>,
    /// Why it is not gone.
    error: Option<Message>,
}
