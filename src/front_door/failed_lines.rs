use std::time::Duration;

use tokio::time::timeout;

use crate::control::{ControlClient, LogQuery};
use crate::log::{LogLine, last_lines};
use crate::model::{Phase, ServiceView, Snapshot};

/// How many lines of a failed service are shown.
const SHOWN: usize = 10;

/// How many are read: some are empty, or frames of a stack trace.
const READ: usize = 50;

/// How long a stack may take to send them. Requests can be answered without.
const LIMIT: Duration = Duration::from_millis(500);

/// Adds to the messages of failed services with a name what they printed last. `known` is an earlier
/// snapshot with these lines.
pub(super) async fn add_last_lines(
    client: &ControlClient,
    known: Option<&Snapshot>,
    snapshot: &mut Snapshot,
) {
    for view in snapshot.services.iter_mut().filter(|view| shows_lines(view)) {
        let same = |other: &&ServiceView| {
            (&other.name, other.phase, other.run, &other.since)
                == (&view.name, view.phase, view.run, &view.since)
        };
        let before = known.and_then(|known| known.services.iter().find(same));
        let before =
            before.and_then(|before| before.message.as_ref()).map(|old| old.detail.clone());
        let lines = match before.filter(|lines| !lines.is_empty()) {
            Some(lines) => lines,
            None => timeout(LIMIT, printed(client, view)).await.unwrap_or_default(),
        };
        if let Some(message) = &mut view.message {
            message.detail = lines;
        }
    }
}

fn shows_lines(view: &ServiceView) -> bool {
    let is_bare = view.message.as_ref().is_some_and(|message| message.detail.is_empty());
    view.phase == Phase::Failed && view.proxy.is_some() && is_bare
}

/// Returns the last lines of the last run; empty if it cannot be asked.
async fn printed(client: &ControlClient, view: &ServiceView) -> String {
    let query =
        LogQuery { services: vec![view.name.clone()], last: Some(READ), ..LogQuery::default() };
    let Ok(mut log) = client.logs(&query).await else { return String::new() };
    let mut text = Vec::new();
    while let Ok(Some(batch)) = log.next().await {
        let lines = batch.iter().filter_map(|line| serde_json::from_slice::<LogLine>(line).ok());
        for line in lines.filter(|line| view.run.is_none_or(|run| run == line.run)) {
            text.extend(line.line);
            text.push(b'\n');
        }
    }
    last_lines(&text, SHOWN).join("\n")
}
