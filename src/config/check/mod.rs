//! Checks types, ranges and names, and finds as many errors as possible in one pass.

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

/// Checks a merged file. `dir` is the directory of the first file. `None` if nothing can be checked
/// further; the reason is in the report.
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

struct Check<'c, 't> {
    report: &'c mut Report,
    /// All services as written, to tell known names from unknown ones.
    services: &'c Table<'t>,
    stack_name: String,
    dir: &'c Path,
}

impl Check<'_, '_> {
    fn fault(&mut self, fault: Fault) {
        self.report.push(fault);
    }

    fn wrong(&mut self, key: &str, must: &str, node: &Node<'_>) {
        let text = format!("expected {must} for `{key}`, found {}", node.value.kind());
        let fault = Fault::at(node.at, text);
        self.fault(match how_to_write(must, &node.value) {
            Some(help) => fault.help(help),
            None => fault,
        });
    }

    /// Reports the keys of `table` that are not in `known`; `elsewhere` suggests where they belong.
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
            let fault = Fault::at(entry.key, format!("unknown key {} in {what}", quote(key)));
            if self.report.is_full() {
                // The report is full, so looking for a suggestion is wasted time.
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
                self.wrong(key, "a string", node);
                None
            }
        }
    }

    fn boolean(&mut self, key: &str, node: &Node<'_>) -> Option<bool> {
        match node.value {
            Value::Boolean(yes) => Some(yes),
            _ => {
                self.wrong(key, "a boolean", node);
                None
            }
        }
    }

    fn number(
        &mut self,
        key: &str,
        node: &Node<'_>,
        range: std::ops::RangeInclusive<i64>,
    ) -> Option<i64> {
        match node.value {
            Value::Integer(Some(number)) if range.contains(&number) => Some(number),
            Value::Integer(_) => {
                let text = format!("`{key}` must be between {} and {}", range.start(), range.end());
                self.fault(Fault::at(node.at, text));
                None
            }
            _ => {
                self.wrong(key, "an integer", node);
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

    fn word<T: Copy>(&mut self, key: &str, node: &Node<'_>, words: &[(&str, T)]) -> Option<T> {
        let Value::Text(text) = &node.value else {
            let known: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            let text = format!("expected a string for `{key}`, found {}", node.value.kind());
            self.fault(Fault::at(node.at, text).help(format!("use one of {}", known.join(", "))));
            return None;
        };
        if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*meaning);
        }
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let help =
            did_you_mean(text, known.iter().copied(), || format!("use one of {}", one_of(&known)));
        let text = format!("invalid value {} for `{key}`", quote(text));
        self.fault(Fault::at(node.at, text).help(help));
        None
    }

    fn template(&mut self, text: &str, at: Place, syntax: Syntax) -> Template {
        let services = self.services;
        let is_service = |name: &str| Check::is_service(services, name);
        Parser { is_service: &is_service, report: self.report }.parse(text, at, syntax)
    }

    /// Checks a text that must be known before ports are chosen: it may only refer to the stack.
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
                    let fault = Fault::at(*at, format!("`{key}` cannot refer to services"));
                    let help = "use only `${stack.name}` and `${stack.dir}` here";
                    self.fault(fault.help(help));
                    return None;
                }
            }
        }
        Some(out)
    }

    /// Checks a path; relative ones start at the directory of the file.
    fn path(&mut self, key: &str, node: &Node<'_>) -> Option<PathBuf> {
        let text = self.fixed_text(key, node)?;
        if text.is_empty() {
            let fault = Fault::at(node.at, format!("`{key}` is empty"));
            self.fault(fault.help("use `.` for the directory of devstack.toml"));
            return None;
        }
        Some(tidy(&self.dir.join(text)))
    }
}

fn in_order<'a, 't>(table: &'a Table<'t>) -> Vec<(&'a str, &'a Entry<'t>)> {
    let mut entries: Vec<(&str, &Entry<'t>)> =
        table.iter().map(|(name, entry)| (&**name, entry)).collect();
    entries.sort_by_key(|(_, entry)| entry.key);
    entries
}

/// Removes `.` from a path. `..` stays, because the parent of a symlink's target may be elsewhere.
fn tidy(path: &Path) -> PathBuf {
    path.components().collect()
}

/// Returns a hint on how to write the expected type.
fn how_to_write(must: &str, value: &Value<'_>) -> Option<&'static str> {
    let text =
        must.starts_with("a string") || must.starts_with("a path") || must == "a signal name";
    match value {
        Value::Text(_) if must == "a boolean" => Some("use true or false, without quotes"),
        Value::Text(_) if must == "an integer" => Some("remove the quotes"),
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Date if text => {
            Some("add quotes")
        }
        _ if must == "a duration" => Some("use a number with a unit: \"250ms\", \"5s\", \"2m\""),
        _ if must == "a table" => Some("write a table as { key = value }"),
        _ if must.starts_with("an array") => Some("write an array as [\"one\", \"two\"]"),
        Value::Text(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Boolean(_)
        | Value::Date
        | Value::List(_)
        | Value::Table(_) => None,
    }
}

/// Returns where an unknown key belongs, or which key was probably meant.
fn unknown_key_help(key: &str, known: &[Key], elsewhere: fn(&str) -> Option<String>) -> String {
    if let Some(help) = elsewhere(key) {
        return help;
    }
    let known: Vec<&str> = known.iter().map(|key| key.name).collect();
    did_you_mean(key, known.iter().copied(), || match known.as_slice() {
        [first, .., last] if known.len() > 10 => {
            format!("remove it; known keys range from `{first}` to `{last}`")
        }
        known => format!("use one of {}", one_of(known)),
    })
}

fn nowhere(_: &str) -> Option<String> {
    None
}
