use serde::{Deserialize, Serialize};

use crate::encoding::{from_base64, to_base64};
use crate::model::{Message, Name, OutputStream, ProcessExit};

/// One line of the response to `POST /v1/do`. The first is `started`, the last `ended` or `failed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum ActionUpdate {
    Started {
        service: Name,
        action: Name,
        /// When: RFC 3339 in UTC with milliseconds.
        at: String,
        /// Tells it from others that run.
        number: u64,
    },
    /// It has printed something: bytes as they came, not always whole lines.
    Output {
        stream: OutputStream,
        /// What, if it is UTF-8.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
        /// What, if it is not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        base64: Option<String>,
    },
    /// This much output was dropped, because the client of a detached action is slow.
    Missed {
        /// How much.
        bytes: u64,
    },
    /// It has exited, and none of its processes is left.
    Ended {
        exit: ProcessExit,
        /// Why it was ended, as a fragment; `None`: it exited by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cause: Option<String>,
    },
    /// It could not start, or cannot be killed.
    Failed {
        /// Why.
        error: Message,
    },
}

impl ActionUpdate {
    pub fn output(stream: OutputStream, bytes: &[u8]) -> ActionUpdate {
        match std::str::from_utf8(bytes) {
            Ok(text) => ActionUpdate::Output { stream, text: Some(text.to_owned()), base64: None },
            Err(_) => ActionUpdate::Output { stream, text: None, base64: Some(to_base64(bytes)) },
        }
    }

    /// Whether nothing follows.
    pub fn is_last(&self) -> bool {
        matches!(self, ActionUpdate::Ended { .. } | ActionUpdate::Failed { .. })
    }

    /// Returns the bytes of output.
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            ActionUpdate::Output { text: Some(text), .. } => text.clone().into_bytes(),
            ActionUpdate::Output { base64: Some(base64), .. } => from_base64(base64),
            ActionUpdate::Output { .. }
            | ActionUpdate::Started { .. }
            | ActionUpdate::Missed { .. }
            | ActionUpdate::Ended { .. }
            | ActionUpdate::Failed { .. } => Vec::new(),
        }
    }
}
