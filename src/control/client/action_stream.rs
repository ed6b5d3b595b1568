use std::collections::VecDeque;

use bytes::Bytes;

use super::LineStream;
use crate::control::ClientError;
use crate::model::ActionUpdate;

/// An action that runs for this client. Dropping it ends the action, unless it is detached.
pub struct ActionStream {
    lines: LineStream,
    received: VecDeque<Bytes>,
}

impl ActionStream {
    pub(super) fn new(lines: LineStream) -> ActionStream {
        ActionStream { lines, received: VecDeque::new() }
    }

    /// Returns the next update; the last one is `Ended` or `Failed`. Can be cancelled.
    ///
    /// # Errors
    /// The stack ended first.
    pub async fn next(&mut self) -> Result<ActionUpdate, ClientError> {
        loop {
            if let Some(line) = self.received.pop_front() {
                return serde_json::from_slice(&line).map_err(ClientError::unreadable_response);
            }
            match self.lines.next().await {
                Ok(Some(lines)) => self.received.extend(lines),
                Ok(None) | Err(_) => return Err(ClientError::ended()),
            }
        }
    }
}
