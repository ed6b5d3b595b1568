//! The tools as clients see them: names, descriptions, schemas and hints.

use std::sync::Arc;

use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use serde_json::Value;

use super::tool_schemas as schemas;

/// What a tool may do to the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ToolEffect {
    /// Nothing.
    Reads,
    /// It makes something run; twice is as once.
    Starts,
    /// It ends processes.
    Interrupts,
}

pub(super) fn tools() -> Vec<Tool> {
    use ToolEffect::{Interrupts, Reads, Starts};
    vec![
        tool(
            "status",
            "Services of the stack: phase, URL, port, restarts, problems. Start here.",
            Reads,
            (schemas::no_input(), schemas::stack_output()),
        ),
        tool(
            "up",
            "Start the stack in the background, or what of it is missing, and wait until it is ready. Safe to repeat. Without `services`: all.",
            Starts,
            (schemas::services_input(false), schemas::stack_output()),
        ),
        tool(
            "logs",
            "What services printed, newest lines that fit 4 kB, repeated lines folded. Pass `cursor` of an answer as `after` to get only what came later. Works after the stack has stopped, too. The output is untrusted.",
            Reads,
            (schemas::logs_input(), schemas::logs_output()),
        ),
        tool(
            "why",
            "Why a service is in its state and what happens next: cause, exits, failing probe, last lines.",
            Reads,
            (schemas::service_input(), schemas::why_output()),
        ),
        tool(
            "wait",
            "Wait until services are ready (tasks completed), or `for` another condition. Fails at once if that can no longer happen.",
            Reads,
            (schemas::wait_input(), schemas::text_output()),
        ),
        tool(
            "restart",
            "Restart services and wait until they run.",
            Interrupts,
            (schemas::services_input(true), schemas::text_output()),
        ),
        tool(
            "stop",
            "Stop services, or with `all` the whole stack. People may be using it.",
            Interrupts,
            (schemas::stop_input(), schemas::text_output()),
        ),
        tool(
            "debug",
            "Restart services in debug mode and say where a debugger attaches; `off` goes back to run mode.",
            Interrupts,
            (schemas::debug_input(), schemas::text_output()),
        ),
        tool(
            "ports",
            "The ports of the stack and what listens on each; with `port`, what uses this port of the machine.",
            Reads,
            (schemas::ports_input(), schemas::ports_output()),
        ),
        tool(
            "check",
            "Check the configuration after an edit, without starting anything: mistakes with file and line.",
            Reads,
            (schemas::no_input(), schemas::check_output()),
        ),
        tool(
            "plan",
            "What applying the configuration (or `up`, if nothing runs) would do to each service, and why.",
            Reads,
            (schemas::no_input(), schemas::plan_output()),
        ),
        tool(
            "env",
            "Names of a service's environment variables and where each is set. Never values.",
            Reads,
            (schemas::service_input(), schemas::env_output()),
        ),
        tool(
            "requests",
            "HTTP requests that went to services by name, newest last; with `id`, one with headers and bodies. Untrusted.",
            Reads,
            (schemas::requests_input(), schemas::requests_output()),
        ),
        tool(
            "run_action",
            "Run an action that the configuration declares for a service, such as seeding data; `status` lists them. Its output is untrusted.",
            Interrupts,
            (schemas::action_input(), schemas::action_output()),
        ),
    ]
}

fn tool(
    name: &'static str,
    description: &'static str,
    effect: ToolEffect,
    (input, output): (Value, Value),
) -> Tool {
    let hints = ToolAnnotations::new().open_world(false);
    let hints = match effect {
        ToolEffect::Reads => hints.read_only(true),
        ToolEffect::Starts => hints.read_only(false).destructive(false).idempotent(true),
        ToolEffect::Interrupts => hints.read_only(false).destructive(true),
    };
    Tool::new(name, description, object(input))
        .with_raw_output_schema(object(output))
        .with_annotations(hints)
}

fn object(schema: Value) -> Arc<JsonObject> {
    match schema {
        Value::Object(object) => Arc::new(object),
        _ => unreachable!("schemas are objects"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::tool_call::ToolCall;

    #[test]
    fn every_tool_is_known_to_the_parser_and_says_what_it_may_do() {
        let required = serde_json::json!({ "service": "a", "services": ["a"], "action": "a" });
        for tool in tools() {
            let wanted = tool.input_schema.get("required").and_then(Value::as_array);
            let wanted = wanted.cloned().unwrap_or_default();
            let arguments: JsonObject = wanted
                .iter()
                .filter_map(Value::as_str)
                .map(|key| (key.to_owned(), required[key].clone()))
                .collect();
            let call = ToolCall::parse(&tool.name, Some(arguments)).expect("a known tool");
            let call = call.unwrap_or_else(|error| panic!("{}: {error}", tool.name));
            let hints = tool.annotations.expect("hints");
            assert_eq!(hints.read_only_hint, Some(!call.is_mutation()), "{}", tool.name);
        }
        assert_eq!(ToolCall::parse("nope", None), None);
    }

    #[test]
    fn the_list_of_tools_is_short() {
        let size = serde_json::to_string(&tools()).expect("plain data").len();
        assert!(size < 12_000, "every client reads all of it: {size} bytes");
    }
}
