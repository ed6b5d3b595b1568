//! From what was written to what is meant: types, ranges, names. Finds as many mistakes as it can.

mod command;
mod debug;
pub(super) mod depends;
mod duration;
mod environment;
pub(super) mod health;
pub(super) mod logs;
pub(super) mod port;
mod preset;
mod probe;
pub(super) mod profiles;
mod ready;
pub(super) mod replicas;
pub(super) mod restart;
pub(super) mod service;
mod stack;
mod stop;
mod unsupported;
pub(super) mod watch;

pub(super) use preset::words;

use std::path::{Path, PathBuf};

use super::fault::Fault;
use super::keys::{self, Key, has};
use super::node::{Entry, Node, Table, Value};
use super::place::Place;
use super::report::Report;
use super::spec::StackSpec;
use super::suggest::{did_you_mean, one_of, quote};
use super::template::{Parser, Part, StackField, Syntax, Template};

/// Checks a whole file, merged. `dir` is the folder of the first file. `None` when there is
/// nothing to check further, with the reason in the report.
pub(super) fn check(
    file: &Table<'_>,
    first: Place,
    dir: &Path,
    host: Option<&str>,
    report: &mut Report,
) -> Option<StackSpec> {
    let empty = Table::new();
    let services = match file.get("services").map(|entry| &entry.node.value) {
        Some(Value::Table(services)) => services,
        _ => &empty,
    };
    let mut check = Check { report, services, stack_name: String::new(), dir };
    check.file(file, first, host)
}

/// What checking needs to know everywhere.
struct Check<'c, 't> {
    report: &'c mut Report,
    /// All services as they were written, to tell known names from unknown ones.
    services: &'c Table<'t>,
    stack_name: String,
    dir: &'c Path,
}

impl Check<'_, '_> {
    fn fault(&mut self, fault: Fault) {
        self.report.push(fault);
    }

    /// A value of the wrong type.
    fn wrong(&mut self, key: &str, must: &str, node: &Node<'_>) {
        let text = format!("`{key}` must be {must}, not {}", node.value.kind());
        let fault = Fault::at(node.at, text);
        self.fault(match how_to_write(must, &node.value) {
            Some(help) => fault.help(help),
            None => fault,
        });
    }

    /// Reports the keys of `table` that are not in `known`; `elsewhere` knows where they belong.
    fn unknown_keys(
        &mut self,
        table: &Table<'_>,
        known: &[Key],
        what: &str,
        elsewhere: fn(&str) -> Option<String>,
    ) {
        for (key, entry) in table {
            if has(known, key) {
                continue;
            }
            let fault = Fault::at(entry.key, format!("{what} has no key {}", quote(key)));
            if self.report.is_full() {
                // The help would be thrown away: do not look for words that are alike.
                self.report.push(fault);
                continue;
            }
            let help = unknown_key_help(key, known, elsewhere);
            self.fault(fault.help(help));
        }
    }

    fn text<'a>(&mut self, key: &str, node: &'a Node<'_>) -> Option<&'a str> {
        match &node.value {
            Value::Text(text) => Some(text),
            _ => {
                self.wrong(key, "a text", node);
                None
            }
        }
    }

    fn boolean(&mut self, key: &str, node: &Node<'_>) -> Option<bool> {
        match node.value {
            Value::Boolean(yes) => Some(yes),
            _ => {
                self.wrong(key, "true or false", node);
                None
            }
        }
    }

    /// A whole number within `range`.
    fn number(
        &mut self,
        key: &str,
        node: &Node<'_>,
        range: std::ops::RangeInclusive<i64>,
    ) -> Option<i64> {
        match node.value {
            Value::Integer(Some(number)) if range.contains(&number) => Some(number),
            Value::Integer(_) => {
                let text = format!("`{key}` must be from {} to {}", range.start(), range.end());
                self.fault(Fault::at(node.at, text));
                None
            }
            _ => {
                self.wrong(key, "a whole number", node);
                None
            }
        }
    }

    fn table<'a, 't>(&mut self, key: &str, node: &'a Node<'t>) -> Option<&'a Table<'t>> {
        match &node.value {
            Value::Table(table) => Some(table),
            _ => {
                self.wrong(key, "a table", node);
                None
            }
        }
    }

    /// One of a few words.
    fn word<T: Copy>(&mut self, key: &str, node: &Node<'_>, words: &[(&str, T)]) -> Option<T> {
        let Value::Text(text) = &node.value else {
            let known: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            let text = format!("`{key}` must be a text, not {}", node.value.kind());
            self.fault(Fault::at(node.at, text).help(format!("write one of {}", known.join(", "))));
            return None;
        };
        if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*meaning);
        }
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let help =
            did_you_mean(text, known.iter().copied(), || format!("there are {}", one_of(&known)));
        let text = format!("`{key}` cannot be {}", quote(text));
        self.fault(Fault::at(node.at, text).help(help));
        None
    }

    /// A text with references.
    fn template(&mut self, text: &str, at: Place, syntax: Syntax) -> Template {
        let services = self.services;
        let is_service = |name: &str| Check::is_service(services, name);
        Parser { is_service: &is_service, report: self.report }.parse(text, at, syntax)
    }

    /// A text that must be known before ports are chosen: it may refer to the stack only.
    fn fixed_text(&mut self, key: &str, node: &Node<'_>) -> Option<String> {
        let text = self.text(key, node)?;
        let template = self.template(text, node.at, Syntax::References);
        let mut out = String::new();
        for part in &template.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Stack { field: StackField::Name, .. } => out.push_str(&self.stack_name),
                Part::Stack { field: StackField::Dir, .. } => {
                    out.push_str(&self.dir.to_string_lossy());
                }
                Part::Service { at, .. } | Part::Variable { at, .. } => {
                    let fault = Fault::at(*at, format!("`{key}` cannot refer to a service"));
                    let help = "only `${stack.name}` and `${stack.dir}` are known here";
                    self.fault(fault.help(help));
                    return None;
                }
            }
        }
        Some(out)
    }

    /// A path relative to the file.
    fn path(&mut self, key: &str, node: &Node<'_>) -> Option<PathBuf> {
        let text = self.fixed_text(key, node)?;
        if text.is_empty() {
            let fault = Fault::at(node.at, format!("`{key}` is empty"));
            self.fault(fault.help("write `.` for the folder of the file"));
            return None;
        }
        Some(tidy(&self.dir.join(text)))
    }
}

/// The entries of a table in the order in which they were written.
fn in_order<'a, 't>(table: &'a Table<'t>) -> Vec<(&'a str, &'a Entry<'t>)> {
    let mut entries: Vec<(&str, &Entry<'t>)> =
        table.iter().map(|(name, entry)| (&**name, entry)).collect();
    entries.sort_by_key(|(_, entry)| entry.key);
    entries
}

/// The path without `.` in it. `..` stays: behind a symbolic link it is not what it seems.
fn tidy(path: &Path) -> PathBuf {
    path.components().collect()
}

/// How what must stand there is written, for one who wrote something else.
fn how_to_write(must: &str, value: &Value<'_>) -> Option<&'static str> {
    let text =
        must.starts_with("a text") || must.starts_with("a path") || must.starts_with("the name");
    match value {
        Value::Text(_) if must == "true or false" => Some("write true or false, without quotes"),
        Value::Text(_) if must == "a whole number" => Some("write it without quotes"),
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Date if text => {
            Some("put it between quotes")
        }
        _ if must == "a duration" => Some("write a number with a unit: \"250ms\", \"5s\", \"2m\""),
        _ if must == "a table" => Some("a table is written { key = value }"),
        _ if must.starts_with("a list") => Some("a list is written [\"one\", \"two\"]"),
        Value::Text(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Boolean(_)
        | Value::Date
        | Value::List(_)
        | Value::Table(_) => None,
    }
}

/// Where a key that is not known belongs, or which one was meant.
fn unknown_key_help(key: &str, known: &[Key], elsewhere: fn(&str) -> Option<String>) -> String {
    if let Some(help) = elsewhere(key) {
        return help;
    }
    let known: Vec<&str> = known.iter().map(|key| key.name).collect();
    did_you_mean(key, known.iter().copied(), || match known.as_slice() {
        [first, .., last] if known.len() > 10 => {
            format!("remove it; known are `{first}` to `{last}`")
        }
        known => format!("there are {}", one_of(known)),
    })
}

/// No key belongs elsewhere.
fn nowhere(_: &str) -> Option<String> {
    None
}
