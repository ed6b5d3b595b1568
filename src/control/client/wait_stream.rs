use std::collections::VecDeque;
use std::pin::Pin;

use bytes::Bytes;
use serde::Deserialize;

use super::LineStream;
use super::connection::refusal;
use crate::control::ClientError;
use crate::control::protocol::{WaitAnswer, status_of};

/// A wait in progress.
pub struct WaitStream {
    state: WaitState,
    lines: VecDeque<Bytes>,
}

enum WaitState {
    /// The request is on its way. An older devstack responds only at the end.
    Asking(Pin<Box<dyn Future<Output = Result<LineStream, ClientError>> + Send>>),
    Reading(LineStream),
}

/// What a wait reports.
#[derive(Debug)]
pub enum WaitUpdate {
    /// An event, as in `/v1/events`.
    Event(Bytes),
    /// The end: the result, or why the condition cannot become true.
    Answer(Result<String, ClientError>),
}

/// The last line, from a devstack of any version.
#[derive(Deserialize)]
#[serde(untagged)]
enum LastLine {
    Answer(WaitAnswer),
    /// No event has this field and no `what`.
    Older {
        text: String,
        what: Option<()>,
    },
}

impl WaitStream {
    pub(super) fn new(
        asking: impl Future<Output = Result<LineStream, ClientError>> + Send + 'static,
    ) -> WaitStream {
        WaitStream { state: WaitState::Asking(Box::pin(asking)), lines: VecDeque::new() }
    }

    /// Returns the next event, or the end, after which nothing comes. Can be cancelled.
    pub async fn next(&mut self) -> WaitUpdate {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return match serde_json::from_slice(&line) {
                    Ok(LastLine::Answer(WaitAnswer::Failed { error })) => {
                        WaitUpdate::Answer(Err(refusal(status_of(error.class), error)))
                    }
                    Ok(
                        LastLine::Answer(WaitAnswer::Done { text })
                        | LastLine::Older { text, what: None | Some(()) },
                    ) => WaitUpdate::Answer(Ok(text)),
                    Err(_) => WaitUpdate::Event(line),
                };
            }
            match &mut self.state {
                WaitState::Asking(asking) => match asking.await {
                    Ok(lines) => self.state = WaitState::Reading(lines),
                    Err(failure) => return WaitUpdate::Answer(Err(failure)),
                },
                WaitState::Reading(lines) => match lines.next().await {
                    Ok(Some(lines)) => self.lines.extend(lines),
                    // The stack stopped before it responded.
                    Ok(None) | Err(_) => return WaitUpdate::Answer(Err(ClientError::ended())),
                },
            }
        }
    }

    /// Waits for the end.
    pub async fn answer(mut self) -> Result<String, ClientError> {
        loop {
            if let WaitUpdate::Answer(answer) = self.next().await {
                return answer;
            }
        }
    }
}
