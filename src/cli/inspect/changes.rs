use std::io::Write;

use clap::Args;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::cli::ClientOptions;
use crate::cli::args::FileArgs;
use crate::cli::render::{CommandError, Table, TableCell, warn};
use crate::control::{ChangesView, ClientError};
use crate::exit_code::ExitCode;
use crate::model::{
    CursorKind, CursorText, EventView, EventViewKind, InvalidCursor, Message, signal_name,
};
use crate::text::{join, one_line};

/// `devstack changes`.
#[derive(Debug, Args)]
pub struct ChangesArgs {
    #[command(flatten)]
    pub files: FileArgs,
    /// Only what happened after this cursor, from an earlier call [default: everything that is kept]
    #[arg(long, value_name = "CURSOR", value_parser = cursor)]
    pub since: Option<CursorText>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

fn cursor(text: &str) -> Result<CursorText, InvalidCursor> {
    CursorText::parse(CursorKind::Changes, text)
}

/// `devstack changes`: prints what happened in the stack, and the cursor to go on from.
pub(crate) async fn changes(
    options: &ClientOptions,
    since: Option<&CursorText>,
    out: &mut dyn Write,
) -> Result<ExitCode, CommandError> {
    let client = options.client().map_err(|error| none_kept(error, since.is_some()))?;
    if options.json {
        out.write_all(&client.changes_json(since).await?)?;
        out.flush()?;
        return Ok(ExitCode::OK);
    }
    let ChangesView { changes, cursor, gap, .. } = client.changes(since).await?;
    if let Some(gap) = gap {
        warn(&format!("note: {gap}\n"));
    }
    out.write_all(changes_text(&changes).as_bytes())?;
    out.flush()?;
    warn(&format!("cursor: {cursor}\n"));
    Ok(ExitCode::OK)
}

/// Says where changes are when no stack runs.
fn none_kept(error: ClientError, has_cursor: bool) -> ClientError {
    let ClientError::NotRunning(message) = error else { return error };
    let text = format!("{}, and changes are kept only while one runs", message.text);
    let again = match has_cursor {
        true => "then omit --since: numbers start over",
        false => "then try again",
    };
    let help = format!(
        "start one with `devstack up`, {again}; `devstack logs --said` shows earlier status lines"
    );
    ClientError::NotRunning(Message::new(message.class, text).help(help))
}

/// Returns the changes as a table, with local times.
pub(crate) fn changes_text(changes: &[EventView]) -> String {
    table(changes, &TimeZone::system())
}

fn table(changes: &[EventView], zone: &TimeZone) -> String {
    let mut table = Table::new(2);
    for event in changes {
        let time = match event.at.parse::<Timestamp>() {
            Ok(at) => at.to_zoned(zone.clone()).strftime("%H:%M:%S").to_string(),
            Err(_) => event.at.clone(),
        };
        let service = event.service.as_ref().map_or("*", |name| name.as_str());
        table.row([time, service.to_owned(), one_line(&text(event))].map(TableCell::from));
    }
    table.render()
}

/// Returns what happened, in one line.
fn text(event: &EventView) -> String {
    let cause = &event.cause;
    match &event.what {
        EventViewKind::Phase { to, .. } => format!("{to}: {cause}"),
        EventViewKind::Ended { unexpected: true, .. } => format!("exited unexpectedly: {cause}"),
        EventViewKind::Ended { unexpected: false, .. } => format!("exited: {cause}"),
        EventViewKind::BuildStarted { command, .. } => format!("running `{command}`: {cause}"),
        EventViewKind::Built { command, .. } => format!("`{command}` {cause}"),
        EventViewKind::Signalled { signal, .. } => {
            let signal = signal.parse().ok().and_then(signal_name).unwrap_or(signal);
            format!("sent {signal}: {cause}")
        }
        EventViewKind::ActionStarted { action } => format!("action {action} started"),
        EventViewKind::ActionEnded { action, .. } => format!("action {action} ended: {cause}"),
        EventViewKind::Note { message } => format!("note: {}", message.text),
        EventViewKind::Attachable => format!("a debugger can attach: {cause}"),
        EventViewKind::Applied { plan } => match plan.lines() {
            lines if lines.is_empty() => cause.clone(),
            lines => format!("{cause}: {}", join(lines, "; ")),
        },
        EventViewKind::ShuttingDown => format!("stopping: {cause}"),
        EventViewKind::Settled { .. } | EventViewKind::Gone | EventViewKind::NothingRuns => {
            cause.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_is_one_line() {
        let line = |json: &str| serde_json::from_str::<EventView>(json).expect("an event");
        let events = [
            r#"{"number":1,"at":"2026-11-20T09:00:00.120Z","service":"api","what":"phase","from":"starting","to":"ready","run":1,"cause":"GET /health answered 200"}"#,
            r#"{"number":2,"at":"2026-11-20T09:00:01.120Z","service":"api","what":"ended","run":1,"exit":{"code":1},"unexpected":true,"cause":"exit 1"}"#,
            r#"{"number":3,"at":"2026-11-20T09:00:01.120Z","service":null,"what":"note","message":{"class":"port","text":"two\nlines","help":""},"cause":"two\nlines"}"#,
            r#"{"number":4,"at":"2026-11-20T09:00:02.120Z","service":"worker","what":"action-ended","action":"seed","exit":{"code":0},"took_ms":12,"cause":"exit 0"}"#,
            r#"{"number":5,"at":"2026-11-20T09:00:03.120Z","service":null,"what":"shutting-down","cause":"SIGTERM"}"#,
        ];
        insta::assert_snapshot!(table(&events.map(line), &TimeZone::UTC), @"
        09:00:00  api     ready: GET /health answered 200
        09:00:01  api     exited unexpectedly: exit 1
        09:00:01  *       note: two lines
        09:00:02  worker  action seed ended: exit 0
        09:00:03  *       stopping: SIGTERM
        ");
    }
}
