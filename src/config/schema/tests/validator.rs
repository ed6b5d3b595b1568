use std::cell::RefCell;
use std::collections::BTreeMap;

use regex::Regex;
use serde_json::{Map, Value};

use super::SCHEMA;

/// Returns why a value does not match a schema, or `None` if it does. Supports the part of draft 7
/// that our schema uses and panics on everything else, which would be a rule that no test covers.
pub fn misfit(schema: &Value, value: &Value) -> Option<String> {
    let rules = schema.as_object().expect("a schema is an object");
    rules.iter().find_map(|(word, rule)| broken(rules, word, rule, value))
}

fn broken(rules: &Map<String, Value>, word: &str, rule: &Value, value: &Value) -> Option<String> {
    let text = value.as_str();
    let say = |broken: bool| broken.then(|| format!("{value} breaks {word}: {rule}"));
    let size = |rule: &Value| usize::try_from(rule.as_u64().expect("a size")).expect("a size");
    match word {
        "$schema" | "title" | "description" | "default" | "examples" => None,
        "type" => {
            let types = rule.as_array().cloned().unwrap_or_else(|| vec![rule.clone()]);
            say(!types.iter().any(|name| is(name.as_str().expect("a name"), value)))
        }
        "enum" => say(!rule.as_array().expect("a list").contains(value)),
        "anyOf" => {
            let any = rule.as_array().expect("a list");
            let misfits: Vec<String> = any.iter().map_while(|one| misfit(one, value)).collect();
            (misfits.len() == any.len()).then(|| misfits.join("; "))
        }
        "allOf" => rule.as_array().expect("a list").iter().find_map(|one| misfit(one, value)),
        "$ref" => {
            let place = rule.as_str().and_then(|place| place.strip_prefix('#'));
            misfit(SCHEMA.pointer(place.expect("a place here")).expect("it exists"), value)
        }
        "pattern" => say(text.is_some_and(|text| !matches(rule.as_str().expect("a text"), text))),
        "minLength" => say(text.is_some_and(|text| text.chars().count() < size(rule))),
        "minimum" => {
            say(value.as_f64().is_some_and(|number| number < rule.as_f64().expect("a number")))
        }
        "maximum" => {
            say(value.as_f64().is_some_and(|number| number > rule.as_f64().expect("a number")))
        }
        "items" => value.as_array()?.iter().find_map(|item| misfit(rule, item)),
        "minItems" => say(value.as_array()?.len() < size(rule)),
        "maxItems" => say(value.as_array()?.len() > size(rule)),
        "maxProperties" => say(value.as_object()?.len() > size(rule)),
        "required" => {
            let names = rule.as_array().expect("a list");
            let value = value.as_object()?;
            say(names.iter().any(|name| !value.contains_key(name.as_str().expect("a name"))))
        }
        "propertyNames" => {
            value.as_object()?.keys().find_map(|name| misfit(rule, &Value::from(name.as_str())))
        }
        "properties" => {
            let properties = rule.as_object().expect("an object");
            let known = |(name, value)| {
                let why = misfit(properties.get(name)?, value)?;
                Some(format!("{name}: {why}"))
            };
            value.as_object()?.iter().find_map(known)
        }
        "additionalProperties" => {
            let known = rules.get("properties").and_then(Value::as_object);
            let mut others = value
                .as_object()?
                .iter()
                .filter(|(name, _)| known.is_none_or(|known| !known.contains_key(*name)));
            match rule {
                Value::Bool(false) => others.next().map(|(name, _)| format!("{name} is not known")),
                rule => others.find_map(|(name, value)| {
                    misfit(rule, value).map(|why| format!("{name}: {why}"))
                }),
            }
        }
        _ => panic!("the tests do not know `{word}` of JSON Schema"),
    }
}

fn is(name: &str, value: &Value) -> bool {
    match name {
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => panic!("the tests do not know the type `{name}`"),
    }
}

fn matches(pattern: &str, text: &str) -> bool {
    thread_local! {
        static KNOWN: RefCell<BTreeMap<String, Regex>> = RefCell::default();
    }
    KNOWN.with_borrow_mut(|known| {
        let regex = || Regex::new(pattern).expect("a pattern of ours");
        known.entry(pattern.to_owned()).or_insert_with(regex).is_match(text)
    })
}
