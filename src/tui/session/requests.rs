use tokio::sync::mpsc::Sender;

use super::tui_session::TuiTexts;
use crate::control::{ClientError, ControlClient};
use crate::log::escape_filter;
use crate::model::{
    ActionRequest, ActionStop, ActionUpdate, EventView, EventViewKind, Message, Name,
};
use crate::tui::command::{Notice, TuiEvent, TuiRequest};

/// Most bytes that are kept of what an action prints.
const OUTPUT_MAX: usize = 64 * 1024;

/// Asks the stack for something, and reports what came of it.
pub async fn ask(
    client: ControlClient,
    request: TuiRequest,
    texts: TuiTexts,
    to: Sender<TuiEvent>,
) {
    let result = match request {
        TuiRequest::Start(names) => done(client.start(&strings(&names)).await),
        TuiRequest::Stop(names) => done(client.stop(&strings(&names)).await),
        TuiRequest::Restart(names) => done(client.restart(&strings(&names)).await),
        TuiRequest::Debug(name) => done(client.debug(&[name.to_string()]).await),
        TuiRequest::Undebug(name) => done(client.undebug(&[name.to_string()]).await),
        TuiRequest::Down => done(client.down().await),
        TuiRequest::Why(name) => {
            let why = client.why(name.as_str()).await;
            why.map(|why| TuiEvent::Text(format!("why {name}"), (texts.why)(&why)))
        }
        TuiRequest::Env(name) => {
            let env = client.env(name.as_str()).await;
            env.map(|env| TuiEvent::Text(format!("environment of {name}"), (texts.env)(&env)))
        }
        TuiRequest::Plan => {
            client.plan().await.map(|plan| TuiEvent::Text("plan".to_owned(), (texts.plan)(&plan)))
        }
        TuiRequest::Changes => {
            let changes = client.changes(None).await;
            changes.map(|view| TuiEvent::Text("changes".to_owned(), (texts.changes)(&view.changes)))
        }
        TuiRequest::Requests => match client.stack().await {
            Ok(stack) => Ok(match (texts.requests)(stack).await {
                Ok(text) => TuiEvent::Text("requests".to_owned(), text),
                Err(error) => TuiEvent::Notice(Notice::failed(error)),
            }),
            Err(error) => Err(error),
        },
        TuiRequest::EndAction(service, action) => {
            let (service, action) = (service.to_string(), action.to_string());
            done(client.stop_action(&ActionStop { service, action, number: None }).await)
        }
        TuiRequest::Run(service, action, args) => run(&client, service, action, args).await,
    };
    let event = result.unwrap_or_else(|error| TuiEvent::Notice(failure(error.message())));
    // What a key does depends on what is shown: it is shown before it is said that something is done.
    if matches!(event, TuiEvent::Notice(_))
        && let Ok(stack) = client.stack().await
    {
        let _ = to.send(TuiEvent::Stack(Box::new(stack), false)).await;
    }
    // Fails when the TUI has been closed.
    let _ = to.send(event).await;
}

fn strings(names: &[Name]) -> Vec<String> {
    names.iter().map(Name::to_string).collect()
}

fn done(result: Result<String, ClientError>) -> Result<TuiEvent, ClientError> {
    result.map(|text| TuiEvent::Notice(Notice::done(text)))
}

fn failure(message: &Message) -> Notice {
    match message.help.lines().next() {
        Some(help) => Notice::failed(format!("{}; {help}", message.text)),
        None => Notice::failed(message.text.clone()),
    }
}

/// Runs an action to its end. It goes on when the TUI is closed.
async fn run(
    client: &ControlClient,
    service: Name,
    action: Name,
    args: Vec<String>,
) -> Result<TuiEvent, ClientError> {
    let title = format!("{action} of {service}");
    let request = ActionRequest {
        service: service.to_string(),
        action: action.to_string(),
        args,
        detach: true,
    };
    let mut updates = client.run_action(&request).await?;
    let mut printed = Vec::new();
    loop {
        let update = updates.next().await?;
        match &update {
            ActionUpdate::Started { .. } | ActionUpdate::Missed { .. } => {}
            ActionUpdate::Output { .. } => {
                printed.extend(update.bytes());
                printed.drain(..printed.len().saturating_sub(OUTPUT_MAX));
            }
            ActionUpdate::Ended { exit, .. } => {
                let text = lines(&printed);
                return Ok(match text.lines().count() {
                    0 => TuiEvent::Notice(Notice::done(format!("{title}: {exit}"))),
                    _ => TuiEvent::Text(title, format!("{text}\n[{exit}]")),
                });
            }
            ActionUpdate::Failed { error } => {
                return Ok(TuiEvent::Notice(failure(error)));
            }
        }
    }
}

fn lines(printed: &[u8]) -> String {
    let lines: Vec<String> =
        printed.split(|byte| *byte == b'\n').map(escape_filter::strip).collect();
    lines.join("\n").trim_end().to_owned()
}

/// Reports that something has happened, until the stack ends. With `at_once`, its shutdown counts as
/// the end.
pub async fn watch(client: ControlClient, at_once: bool, to: Sender<TuiEvent>) {
    let is_end = |line: &bytes::Bytes| {
        let event = serde_json::from_slice::<EventView>(line);
        at_once && event.is_ok_and(|event| event.what == EventViewKind::ShuttingDown)
    };
    if let Ok(mut events) = client.events().await {
        while let Ok(Some(lines)) = events.next().await {
            let event = match lines.iter().any(is_end) {
                true => TuiEvent::StackEnds,
                false => TuiEvent::Changed,
            };
            if to.send(event).await.is_err() {
                return;
            }
        }
    }
    let _ = to.send(TuiEvent::StackEnds).await;
}
