//! What an agent asks for: the name and the arguments of a tool call, checked.

use rmcp::model::JsonObject;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::model::{Message, MessageClass, WaitCondition};

/// A checked call of a tool.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ToolCall {
    Status(NoArguments),
    Up(UpArguments),
    Logs(LogsArguments),
    Why(ServiceArguments),
    Wait(WaitArguments),
    Restart(ServicesArguments),
    Stop(StopArguments),
    Debug(DebugArguments),
    Ports(PortsArguments),
    Check(NoArguments),
    Plan(NoArguments),
    Env(ServiceArguments),
    Requests(RequestsArguments),
    RunAction(ActionArguments),
}

impl ToolCall {
    /// Reads a call; `None` if there is no such tool.
    ///
    /// # Errors
    /// The arguments do not fit (class `usage`).
    pub fn parse(tool: &str, arguments: Option<JsonObject>) -> Option<Result<ToolCall, Message>> {
        let object = Value::Object(arguments.unwrap_or_default());
        Some(match tool {
            "status" => read(tool, object).map(ToolCall::Status),
            "up" => read(tool, object).map(ToolCall::Up),
            "logs" => read(tool, object).map(ToolCall::Logs),
            "why" => read(tool, object).map(ToolCall::Why),
            "wait" => read(tool, object).map(ToolCall::Wait),
            "restart" => read(tool, object).map(ToolCall::Restart),
            "stop" => read(tool, object).map(ToolCall::Stop),
            "debug" => read(tool, object).map(ToolCall::Debug),
            "ports" => read(tool, object).map(ToolCall::Ports),
            "check" => read(tool, object).map(ToolCall::Check),
            "plan" => read(tool, object).map(ToolCall::Plan),
            "env" => read(tool, object).map(ToolCall::Env),
            "requests" => read(tool, object).map(ToolCall::Requests),
            "run_action" => read(tool, object).map(ToolCall::RunAction),
            _ => return None,
        })
    }

    /// Whether it changes something in the stack.
    pub fn is_mutation(&self) -> bool {
        use ToolCall::{Debug, Restart, RunAction, Stop, Up};
        matches!(self, Up(_) | Restart(_) | Stop(_) | Debug(_) | RunAction(_))
    }

    /// Whether it can take minutes.
    pub fn lasts(&self) -> bool {
        matches!(self, ToolCall::Up(_) | ToolCall::Wait(_) | ToolCall::RunAction(_))
    }
}

fn read<T: DeserializeOwned>(tool: &str, object: Value) -> Result<T, Message> {
    serde_json::from_value(object).map_err(|error| {
        let text = format!("invalid arguments for `{tool}`: {error}");
        Message::new(MessageClass::Usage, text).help("see the input schema of the tool")
    })
}

/// The arguments of a tool that takes none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoArguments {}

/// Arguments that name one service.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ServiceArguments {
    pub service: String,
}

/// Arguments that name services.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ServicesArguments {
    pub services: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct UpArguments {
    /// Empty for all.
    pub services: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct StopArguments {
    pub services: Vec<String>,
    /// Stops the whole stack.
    pub all: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DebugArguments {
    pub services: Vec<String>,
    /// Back to run mode.
    #[serde(default)]
    pub off: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct WaitArguments {
    pub services: Vec<String>,
    #[serde(rename = "for")]
    pub what: WaitCondition,
    pub timeout_seconds: Option<u64>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LogsArguments {
    pub services: Vec<String>,
    /// Lines per service to look at.
    pub lines: Option<u64>,
    pub grep: Option<String>,
    pub stream: Option<LogStreamName>,
    pub since: Option<String>,
    /// The cursor of an earlier answer.
    pub after: Option<String>,
    pub max_bytes: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum LogStreamName {
    Stdout,
    Stderr,
}

impl LogStreamName {
    pub fn as_str(self) -> &'static str {
        match self {
            LogStreamName::Stdout => "stdout",
            LogStreamName::Stderr => "stderr",
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PortsArguments {
    pub port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ActionArguments {
    pub service: String,
    pub action: String,
    #[serde(default)]
    pub args: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RequestsArguments {
    pub service: Option<String>,
    /// One request, as a whole.
    pub id: Option<u64>,
    pub status: Option<String>,
    pub method: Option<String>,
    pub slow_ms: Option<u64>,
    pub lines: Option<u64>,
}
