//! `docs/configuration.md`: every key of `devstack.toml`, made from the schema.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::committed_file;
use crate::support::TestProject;

const HEAD: &str = "\
# Configuration reference

Every key of `devstack.toml`, made from its JSON Schema (`devstack schema`). The guide explains most of them
[by task](guide/configuration.md).
";

/// More choices than these are `string`: the names of presets and signals.
const MOST_CHOICES: usize = 12;

/// The keys of a table, and all places where such a table may stand.
struct Table<'a> {
    places: Vec<String>,
    keys: &'a Map<String, Value>,
}

#[test]
fn the_reference_of_the_configuration_is_what_is_made() {
    let project = TestProject::new();
    let schema: Value = project.devstack(["schema"]).run().expect_code(0).json();
    let mut tables = Vec::new();
    collect(&schema, "", &mut tables);
    assert!(tables.len() > 10 && tables.iter().any(|table| table.keys.contains_key("on_conflict")));
    let mut page = HEAD.to_owned();
    for table in &tables {
        write_table(table, &mut page);
    }
    committed_file("configuration.md", &page);
    project.finish();
}

/// Adds the tables in a schema, outer ones first.
fn collect<'a>(schema: &'a Value, place: &str, tables: &mut Vec<Table<'a>>) {
    if let Some(keys) = schema["properties"].as_object() {
        match tables.iter_mut().find(|table| table.keys == keys) {
            Some(table) if table.places.iter().all(|other| other != place) => {
                table.places.push(place.to_owned());
            }
            Some(_) => {}
            None => tables.push(Table { places: vec![place.to_owned()], keys }),
        }
        for (key, value) in keys {
            let place = if place.is_empty() { key.clone() } else { format!("{place}.{key}") };
            collect(value, &place, tables);
        }
    }
    for inner in schema["anyOf"].as_array().into_iter().flatten().chain(schema.get("items")) {
        collect(inner, place, tables);
    }
    if let Some(value) = schema.get("additionalProperties") {
        collect(value, &format!("{place}.NAME"), tables);
    }
}

fn write_table(table: &Table, page: &mut String) {
    let places: Vec<_> = table.places.iter().map(|place| format!("`{place}`")).collect();
    let title = places.join(", ");
    let title = if title == "``" { "Top level" } else { &title };
    let _ =
        write!(page, "\n## {title}\n\n| key | value | default | meaning |\n|---|---|---|---|\n");
    for (key, schema) in table.keys {
        let code = |value: &Value| format!("`{}`", toml(value));
        let default = schema.get("default").map(code).unwrap_or_default();
        let meaning = schema["description"].as_str().expect("every key has a description");
        let _ = writeln!(page, "| `{key}` | {} | {default} | {meaning} |", kind(schema));
    }
}

/// What a value may be, in the words of TOML.
fn kind(schema: &Value) -> String {
    let mut kinds = Vec::new();
    add_kinds(schema, &mut kinds);
    kinds.join(", ")
}

fn add_kinds(schema: &Value, kinds: &mut Vec<String>) {
    let mut add = |kind: String| {
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    };
    if let Some(choices) = schema["enum"].as_array() {
        match choices.len() {
            ..=MOST_CHOICES => choices.iter().for_each(|one| add(format!("`{}`", toml(one)))),
            _ => add("string".to_owned()),
        }
    } else if let Some(choices) = schema["anyOf"].as_array() {
        choices.iter().for_each(|choice| add_kinds(choice, kinds));
    } else {
        match (schema["type"].as_str(), &schema["minimum"], &schema["maximum"]) {
            (Some("integer"), from, to) => add(format!("{from} to {to}")),
            (Some("object") | None, ..) => add("table".to_owned()),
            (Some(other), ..) => add(other.to_owned()),
        }
    }
}

/// A value as it stands in a TOML file, for a cell of a table.
fn toml(value: &Value) -> String {
    let value = toml::Value::try_from(value).expect("defaults can be written in TOML");
    value.to_string().replace('|', "\\|")
}
