//! JSON Schemas of what tools take and give.

use serde_json::{Map, Value, json};

use super::answers::{MOST_BYTES, USUAL_BYTES};

/// One property of an object.
struct Property {
    name: &'static str,
    schema: Value,
    required: bool,
}

fn required(name: &'static str, schema: Value) -> Property {
    Property { name, schema, required: true }
}

fn optional(name: &'static str, schema: Value) -> Property {
    Property { name, schema, required: false }
}

fn object(properties: impl IntoIterator<Item = Property>) -> Value {
    let (mut fields, mut names) = (Map::new(), Vec::new());
    for Property { name, schema, required } in properties {
        fields.insert(name.to_owned(), schema);
        if required {
            names.push(name);
        }
    }
    let mut schema =
        json!({ "type": "object", "properties": fields, "additionalProperties": false });
    if !names.is_empty() {
        schema["required"] = names.into();
    }
    schema
}

fn kind(name: &str) -> Value {
    json!({ "type": name })
}

fn text() -> Value {
    kind("string")
}

fn count() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

fn list(items: Value) -> Value {
    json!({ "type": "array", "items": items })
}

fn about(mut schema: Value, description: &str) -> Value {
    schema["description"] = description.into();
    schema
}

pub(super) fn no_input() -> Value {
    object([])
}

pub(super) fn service_input() -> Value {
    object([required("service", text())])
}

fn some_services() -> Value {
    json!({ "type": "array", "items": { "type": "string" }, "minItems": 1 })
}

pub(super) fn services_input(must_name: bool) -> Value {
    match must_name {
        true => object([required("services", some_services())]),
        false => object([optional("services", list(text()))]),
    }
}

pub(super) fn stop_input() -> Value {
    object([optional("services", list(text())), optional("all", kind("boolean"))])
}

pub(super) fn debug_input() -> Value {
    object([required("services", some_services()), optional("off", kind("boolean"))])
}

pub(super) fn wait_input() -> Value {
    let conditions = json!({ "enum": ["ready", "completed", "stopped"] });
    let seconds = json!({ "type": "integer", "minimum": 1, "maximum": 3600 });
    object([
        optional("services", about(list(text()), "default: all")),
        optional("for", conditions),
        optional("timeout_seconds", about(seconds, "default: 60")),
    ])
}

pub(super) fn logs_input() -> Value {
    let lines = json!({ "type": "integer", "minimum": 1, "maximum": 100000 });
    let bytes = json!({ "type": "integer", "minimum": 500, "maximum": MOST_BYTES });
    object([
        optional("services", about(list(text()), "default: all")),
        optional("grep", about(text(), "regular expression; (?i) ignores case")),
        optional("after", about(text(), "`cursor` of an earlier answer")),
        optional("since", about(text(), "such as 10m or 2026-11-20T09:30:00Z")),
        optional("stream", json!({ "enum": ["stdout", "stderr"] })),
        optional(
            "lines",
            about(
                lines,
                "newest lines per service to look at; default: 300; with `after`: at most so many lines",
            ),
        ),
        optional("max_bytes", about(bytes, &format!("default: {USUAL_BYTES}"))),
    ])
}

pub(super) fn ports_input() -> Value {
    object([optional("port", json!({ "type": "integer", "minimum": 1, "maximum": 65535 }))])
}

pub(super) fn requests_input() -> Value {
    object([
        optional("service", text()),
        optional("id", count()),
        optional("status", about(text(), "404 or 5xx")),
        optional("method", text()),
        optional("slow_ms", about(count(), "only those that took this long")),
        optional("lines", about(count(), "default: 20")),
    ])
}

pub(super) fn action_input() -> Value {
    object([
        required("service", text()),
        required("action", text()),
        optional("args", about(list(text()), "a value for each argument")),
    ])
}

pub(super) fn action_output() -> Value {
    object([
        required("succeeded", kind("boolean")),
        optional("exit_code", kind("integer")),
        required("output", untrusted()),
    ])
}

/// A text that services or other programs have a part in.
fn untrusted() -> Value {
    about(text(), "untrusted")
}

pub(super) fn text_output() -> Value {
    object([required("text", text())])
}

pub(super) fn stack_output() -> Value {
    let service = object([
        required("name", text()),
        required("phase", text()),
        optional("url", text()),
        optional("port", count()),
        optional("wanted_port", count()),
        optional("restarts", count()),
        optional("cause", untrusted()),
        optional("exit", kind("object")),
        optional("problem", untrusted()),
        optional("help", untrusted()),
        optional("actions", list(text())),
    ]);
    object([
        required("running", kind("boolean")),
        optional("stack", text()),
        required("dir", text()),
        optional("state", text()),
        required("services", list(service)),
        optional("left_out", count()),
    ])
}

pub(super) fn logs_output() -> Value {
    object([
        optional("log", about(text(), "untrusted: `service | line`")),
        optional("cursor", text()),
        optional("gap", about(text(), "why lines may be missing after the cursor that was given")),
        required("more", kind("boolean")),
        required("omitted", count()),
        required("missed", count()),
    ])
}

pub(super) fn why_output() -> Value {
    object([
        required("service", text()),
        required("phase", text()),
        required("since", text()),
        optional("cause", untrusted()),
        optional("next", untrusted()),
        optional("url", text()),
        optional("problem", untrusted()),
        optional("help", untrusted()),
        optional("details", untrusted()),
        optional("exits", list(text())),
        optional("waits_for", list(untrusted())),
        optional("trigger", untrusted()),
        optional("moved", list(untrusted())),
        optional("log", list(untrusted())),
    ])
}

pub(super) fn ports_output() -> Value {
    let port = object([
        optional("service", text()),
        optional("name", text()),
        required("port", count()),
        optional("wanted", count()),
        optional("wanted_holder", untrusted()),
        required("listening", kind("boolean")),
        optional("holder", untrusted()),
        optional("listens_elsewhere", list(count())),
    ]);
    object([required("ports", list(port)), optional("text", untrusted())])
}

pub(super) fn check_output() -> Value {
    object([
        required("ok", kind("boolean")),
        optional("stack", text()),
        optional("services", list(text())),
        optional("notes", text()),
        optional("errors", text()),
    ])
}

pub(super) fn plan_output() -> Value {
    let change = object([
        required("service", text()),
        required("action", text()),
        required("because", text()),
    ]);
    object([
        required("running", kind("boolean")),
        required("stack", text()),
        required("changes", list(change)),
        required("unchanged", list(text())),
        required("notes", list(untrusted())),
    ])
}

pub(super) fn env_output() -> Value {
    let variable = object([required("name", text()), required("source", text())]);
    object([required("service", text()), required("variables", list(variable))])
}

pub(super) fn requests_output() -> Value {
    let request = object([
        required("id", count()),
        required("at", text()),
        optional("service", text()),
        optional("method", text()),
        optional("path", text()),
        optional("status", count()),
        optional("took_ms", kind("number")),
        optional("end", text()),
        optional("error", text()),
    ]);
    object([required("requests", list(request)), optional("detail", text())])
}
