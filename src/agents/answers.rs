//! What tools answer: a short text, and the same as data. Pure.

mod log_answer;
mod request_answer;
mod service_answer;
mod stack_answer;

pub(super) use log_answer::log_answer;
pub(super) use request_answer::{action_answer, request_answer, request_list_answer};
pub(super) use service_answer::{env_answer, why_answer};
pub(super) use stack_answer::{
    broken_check_answer, check_answer, not_running_answer, plan_answer, port_report_answer,
    ports_answer, stack_answer,
};

use serde_json::{Map, Value, json};

use super::untrusted::clean_text;
use crate::model::Message;

/// Most of a text that is passed on unless more is asked for, in bytes.
pub(super) const USUAL_BYTES: usize = 4_000;

/// Most that can be asked for.
pub(super) const MOST_BYTES: usize = 64_000;

/// The answer of a tool.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ToolAnswer {
    pub text: String,
    /// Fits the output schema of the tool.
    pub data: Value,
}

impl ToolAnswer {
    /// An answer that is one sentence.
    pub fn sentence(text: &str) -> ToolAnswer {
        let text = clean_text(text);
        ToolAnswer { data: json!({ "text": text }), text: text + "\n" }
    }
}

/// Returns the text of an error: what happened, and what to do next.
pub(super) fn error_text(message: &Message) -> String {
    let class = serde_json::to_value(message.class).ok();
    let class = class.as_ref().and_then(Value::as_str).unwrap_or("error").to_owned();
    let mut text = format!("error ({class}): {}\n", clean_text(&message.text));
    for help in message.help.lines() {
        text += &format!("next: {}\n", clean_text(help));
    }
    cut(text, USUAL_BYTES)
}

/// Returns the object without its empty parts.
fn compact(value: Value) -> Value {
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    };
    match value {
        Value::Object(object) => {
            let kept = object.into_iter().filter(|(_, value)| !is_empty(value));
            Value::Object(kept.collect::<Map<_, _>>())
        }
        other => other,
    }
}

/// Cuts a text at a line end.
fn cut(mut text: String, most: usize) -> String {
    if text.len() <= most {
        return text;
    }
    let end = text.as_bytes()[..most].iter().rposition(|&byte| byte == b'\n');
    let end = end.map_or(0, |end| end + 1);
    let left = text.len() - end;
    text.truncate(end);
    text + &format!("… ({left} more bytes)\n")
}

/// The first line of a problem, and the rest of it, which may quote output.
fn problem(message: &Message) -> (String, String) {
    let text = clean_text(&format!("{}\n{}", message.text, message.detail));
    match text.split_once('\n') {
        Some((first, rest)) => (first.to_owned(), rest.trim_end().to_owned()),
        None => (text, String::new()),
    }
}
