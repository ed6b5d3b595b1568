//! The JSON Schemas of values. They accept what the checker accepts, and reject what is wrong in a
//! single value. A `$ref` stands alone, because editors hide what stands beside one.

use serde_json::{Map, Value, json};

use super::misplaced::{ACTION, ENV_FILE, HTTP, INCLUDE, PORT, SchemaKey};
use crate::config::check::{action, dependencies, port, probe, profiles, restart};
use crate::model::signal_name;
use crate::presets;
use crate::units::{duration_pattern, size_pattern};

/// The name of a service, port, profile or stack.
const NAME: &str = "^[a-z0-9][a-z0-9-]{0,62}$";

pub(super) fn table<'k>(keys: impl IntoIterator<Item = &'k SchemaKey>) -> Value {
    let property = |key: &SchemaKey| (key.name.to_owned(), with_docs(key));
    let properties: Map<String, Value> = keys.into_iter().map(property).collect();
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

/// Returns the schema of a key, with description, default and examples.
fn with_docs(key: &SchemaKey) -> Value {
    let mut shape = (key.shape)();
    shape["description"] = key.description.into();
    if let Some(text) = key.default {
        shape["default"] = written(text);
    }
    if !key.examples.is_empty() {
        shape["examples"] = key.examples.iter().map(|text| written(text)).collect();
    }
    shape
}

fn written(text: &str) -> Value {
    let file: Map<String, Value> =
        toml::from_str(&format!("value = {text}")).expect("a test reads every default and example");
    file["value"].clone()
}

pub(super) fn any_of(shapes: impl IntoIterator<Item = Value>) -> Value {
    json!({ "anyOf": shapes.into_iter().collect::<Vec<_>>() })
}

pub(super) fn enum_of<T>(table: &[(&str, T)]) -> Value {
    let words: Vec<&str> = table.iter().map(|(word, _)| *word).collect();
    json!({ "type": "string", "enum": words })
}

pub(super) fn integer_range(from: i64, to: i64) -> Value {
    json!({ "type": "integer", "minimum": from, "maximum": to })
}

pub(super) fn list(of: Value) -> Value {
    json!({ "type": "array", "items": of })
}

pub(super) fn map_of(of: Value) -> Value {
    json!({ "type": "object", "propertyNames": { "pattern": NAME }, "additionalProperties": of })
}

/// A service again, within a service.
pub(super) fn service() -> Value {
    json!({ "allOf": [{ "$ref": "#/properties/services/additionalProperties" }] })
}

pub(super) fn size() -> Value {
    json!({ "type": "string", "pattern": size_pattern() })
}

pub(super) fn text() -> Value {
    json!({ "type": "string" })
}

pub(super) fn boolean() -> Value {
    json!({ "type": "boolean" })
}

pub(super) fn name() -> Value {
    json!({ "type": "string", "pattern": NAME })
}

pub(super) fn names() -> Value {
    let mut names = list(name());
    names["maxItems"] = profiles::MAX_PROFILES.into();
    names
}

pub(super) fn arguments() -> Value {
    let mut names = list(name());
    names["maxItems"] = action::MAX_ARGS.into();
    names
}

pub(super) fn path() -> Value {
    json!({ "type": "string", "minLength": 1 })
}

pub(super) fn host() -> Value {
    json!({ "type": "string", "pattern": "^(localhost|[0-9.]+|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*)$" })
}

pub(super) fn duration() -> Value {
    json!({ "type": "string", "pattern": duration_pattern() })
}

pub(super) fn variable() -> Value {
    json!({ "type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$" })
}

pub(super) fn command() -> Value {
    let mut line = list(text());
    line["minItems"] = 1.into();
    any_of([json!({ "type": "string", "pattern": r"\S" }), line])
}

/// Words that no shell reads.
pub(super) fn words() -> Value {
    any_of([text(), list(text())])
}

pub(super) fn preset() -> Value {
    let names: Vec<&str> = presets::all().iter().map(|preset| preset.name).collect();
    json!({ "type": "string", "enum": names })
}

pub(super) fn env() -> Value {
    json!({
        "type": "object",
        "propertyNames": { "pattern": "^[^=]+$" },
        "additionalProperties": { "type": ["string", "number", "boolean"] },
    })
}

pub(super) fn actions() -> Value {
    let mut entry = table(ACTION);
    entry["required"] = json!(["command"]);
    map_of(any_of([command(), entry]))
}

pub(super) fn env_files() -> Value {
    let mut entry = table(ENV_FILE);
    entry["required"] = json!(["path"]);
    let one = [path(), entry];
    any_of(one.clone().into_iter().chain([list(any_of(one))]))
}

pub(super) fn includes() -> Value {
    let mut entry = table(INCLUDE);
    entry["required"] = json!(["path"]);
    list(any_of([path(), entry]))
}

pub(super) fn on_conflict() -> Value {
    enum_of(&port::ON_CONFLICT)
}

pub(super) fn port_number() -> Value {
    any_of([integer_range(1, 65_535), json!({ "type": "string", "enum": ["auto"] })])
}

pub(super) fn port() -> Value {
    any_of([port_number(), table(PORT)])
}

pub(super) fn ports() -> Value {
    let mut ports = map_of(port());
    ports["maxProperties"] = port::MAX_PORTS.into();
    ports
}

pub(super) fn depends_on() -> Value {
    let table = map_of(enum_of(&dependencies::CONDITIONS));
    any_of([list(name()), table])
}

pub(super) fn probe_port() -> Value {
    any_of([boolean(), integer_range(1, 65_535), name()])
}

pub(super) fn http() -> Value {
    any_of([text(), table(HTTP)])
}

pub(super) fn statuses() -> Value {
    let status = integer_range(*probe::STATUS.start(), *probe::STATUS.end());
    any_of([status.clone(), list(status), enum_of(&[(probe::ANY_STATUS, ())])])
}

pub(super) fn policy() -> Value {
    enum_of(&restart::POLICIES)
}

pub(super) fn signal() -> Value {
    let names: Vec<&str> = (1..32).filter_map(signal_name).collect();
    let any_case = |c: char| format!("[{c}{}]", c.to_ascii_lowercase());
    let spelled: Vec<String> =
        names.iter().map(|name| name.chars().map(any_case).collect()).collect();
    let pattern = format!("^([Ss][Ii][Gg])?({})$", spelled.join("|"));
    let other = json!({ "type": "string", "pattern": pattern });
    any_of([json!({ "type": "string", "enum": names }), other, integer_range(1, 31)])
}

pub(super) fn globs() -> Value {
    any_of([path(), list(path())])
}

pub(super) fn tty() -> Value {
    json!({ "enum": [true, false, "auto"] })
}
