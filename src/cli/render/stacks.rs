use anstyle::{AnsiColor, Style};
use jiff::Timestamp;

use super::ps::{age, or_none, phase_style};
use super::table::{EMPTY_CELL, Table, TableCell};
use crate::cli::inspect::StackEntry;
use crate::control::ClientError;
use crate::model::{Phase, Snapshot, StackState};
use crate::text::one_line;

const HEADERS: [&str; 7] = ["REPOSITORY", "STACK", "DIRECTORY", "STATE", "SERVICES", "AGE", "PID"];

/// The order in which phases are listed.
const PHASES: [Phase; 11] = [
    Phase::Ready,
    Phase::Done,
    Phase::Starting,
    Phase::Waiting,
    Phase::Backoff,
    Phase::Stopping,
    Phase::Unhealthy,
    Phase::Failed,
    Phase::Blocked,
    Phase::Asleep,
    Phase::Idle,
];

/// Formats stacks as a table, one line each, followed by why some did not respond. If there are git
/// repositories, each stands at the first of its stacks.
pub(crate) fn stacks_table(
    stacks: &[(StackEntry, Result<Snapshot, ClientError>)],
    now: Timestamp,
    color: bool,
) -> String {
    let mut table = Table::new(3);
    let any = stacks.iter().any(|(entry, _)| entry.shown_repository.is_some());
    let hidden = if any { 0 } else { 1 };
    table.header(HEADERS.into_iter().skip(hidden), color);
    let mut above = None;
    for (entry, answer) in stacks {
        let age = entry.since.as_deref().map(|since| age(since, now));
        let repository = match &entry.shown_repository {
            Some(repository) if above == Some(repository) => "",
            Some(repository) => repository,
            None => EMPTY_CELL,
        };
        above = entry.shown_repository.as_ref();
        let row = [
            repository.into(),
            entry.name().into(),
            entry.shown_dir.as_str().into(),
            state_cell(answer, color),
            answer.as_ref().map_or(EMPTY_CELL.to_owned(), services).into(),
            or_none(age).into(),
            or_none(entry.pid).into(),
        ];
        table.row(row.into_iter().skip(hidden));
    }
    let mut text = table.render();
    let failed = stacks.iter().filter_map(|(entry, answer)| Some((entry, answer.as_ref().err()?)));
    for (at, (entry, failure)) in failed.enumerate() {
        let message = failure.message();
        let gap = if at == 0 { "\n" } else { "" };
        text += &format!("{gap}{}: {}\n", entry.name(), one_line(&message.text));
        if !message.help.is_empty() {
            text += &format!("  help: {}\n", one_line(&message.help));
        }
    }
    text
}

fn state_cell(answer: &Result<Snapshot, ClientError>, color: bool) -> TableCell {
    match answer {
        Ok(snapshot) => {
            let like = match snapshot.state {
                StackState::Starting => Phase::Starting,
                StackState::Up => Phase::Ready,
                StackState::Degraded => Phase::Failed,
                StackState::Stopping => Phase::Stopping,
                StackState::Stopped => Phase::Idle,
            };
            TableCell(snapshot.state.to_string(), phase_style(like, color))
        }
        Err(failure) => {
            let word = match failure {
                ClientError::NotRunning(_) => "stopping",
                ClientError::Busy(_) => "not responding",
                ClientError::ProtocolMismatch(_) => "other version",
                ClientError::Denied(_) => "denied",
                ClientError::UnknownService(_) | ClientError::Refused(_) => "unknown",
            };
            let red = if color { AnsiColor::Red.on_default() } else { Style::new() };
            TableCell(word.to_owned(), red)
        }
    }
}

/// Formats the number of services in each phase: `3 ready, 1 failed`.
fn services(snapshot: &Snapshot) -> String {
    let count = |phase: Phase| {
        let count = snapshot.services.iter().filter(|service| service.phase == phase).count();
        (count > 0).then(|| format!("{count} {phase}"))
    };
    let counts: Vec<String> = PHASES.into_iter().filter_map(count).collect();
    if counts.is_empty() { "none".to_owned() } else { counts.join(", ") }
}
