//! Checks types, ranges and names, and finds as many errors as possible in one pass.

pub(super) mod action;
mod command;
pub(super) mod container;
mod debug;
pub(crate) mod dependencies;
mod duration;
mod environment;
pub(super) mod health;
pub(super) mod host_system;
pub(super) mod include;
pub(super) mod lazy;
pub(super) mod name_scope;
pub(super) mod port;
mod preset;
pub(super) mod probe;
pub(super) mod profiles;
mod ready;
pub(super) mod replicas;
pub(super) mod restart;
pub(super) mod service;
pub(super) mod stack;
mod stop;
pub(super) mod watch;

use std::path::{Path, PathBuf};

use super::diagnostics::{DiagnosticBuilder, LoadReport, Span, did_you_mean, list_or, quote};
use super::parse::{RawEntry, RawTable, RawValue, SpannedValue};
use super::schema::{SchemaKey, has};
use super::sources::ConfigOverrides;
use super::spec::StackSpec;
use super::template::{StackField, Template, TemplateParser, TemplatePart, TemplateSyntax};
use crate::model::Name;
use host_system::{HostSystem, ServicesElsewhere, merge_on_each_system};
use name_scope::NameScope;

/// Where files are that are merged, and what they can refer to.
#[derive(Clone, Copy)]
pub(super) struct FileContext<'c> {
    /// The start of the first file.
    pub first: Span,
    /// The directory of the first file.
    pub dir: &'c Path,
    /// The directory of the main file.
    pub project_dir: &'c Path,
    pub names: &'c NameScope,
    /// The name of the stack, unless these files set it.
    pub stack_name: &'c str,
}

/// Merges files, later ones over earlier ones, and checks the result. `None` if nothing can be
/// checked further; the reason is in the report.
pub(super) fn check(
    files: Vec<RawTable<'_>>,
    context: FileContext<'_>,
    overrides: &ConfigOverrides,
    report: &mut LoadReport,
) -> Option<StackSpec> {
    let (file, elsewhere) = merge_on_each_system(files, report);
    let empty = RawTable::new();
    let services = match file.get("services").map(|entry| &entry.node.value) {
        Some(RawValue::Table(services)) => services,
        _ => &empty,
    };
    let mut check = ConfigChecker {
        elsewhere: &elsewhere,
        stack_name: context.stack_name.to_owned(),
        dir: context.dir,
        project_dir: context.project_dir,
        ..ConfigChecker::new(report, services, context.names)
    };
    check.file(&file, context.first, overrides.host.as_deref())
}

/// Returns the name of a stack whose main files are these.
pub(super) fn stack_name(
    files: &[RawTable<'_>],
    dir: &Path,
    overrides: &ConfigOverrides,
) -> String {
    let written = files.iter().rev().find_map(|file| {
        let RawValue::Table(stack) = &file.get("stack")?.node.value else { return None };
        let RawValue::Text(name) = &stack.get("name")?.node.value else { return None };
        Name::new(name).ok()
    });
    let default = || overrides.default_name.clone().unwrap_or_else(|| stack::slug(dir));
    written.map_or_else(default, |name| name.to_string())
}

struct ConfigChecker<'c, 't> {
    report: &'c mut LoadReport,
    /// All services as written, to tell known names from unknown ones.
    services: &'c RawTable<'t>,
    names: &'c NameScope,
    /// The system on which they are like this.
    system: HostSystem,
    /// The services as they are on other systems.
    elsewhere: &'c [ServicesElsewhere<'t>],
    stack_name: String,
    dir: &'c Path,
    project_dir: &'c Path,
}

impl<'c, 't> ConfigChecker<'c, 't> {
    fn new(
        report: &'c mut LoadReport,
        services: &'c RawTable<'t>,
        names: &'c NameScope,
    ) -> ConfigChecker<'c, 't> {
        let (system, elsewhere) = (HostSystem::THIS, &[][..]);
        let (stack_name, dir, project_dir) = (String::new(), Path::new(""), Path::new(""));
        ConfigChecker { report, services, names, system, elsewhere, stack_name, dir, project_dir }
    }
}

impl ConfigChecker<'_, '_> {
    fn error(&mut self, fault: DiagnosticBuilder) {
        self.report.error(fault);
    }

    fn error_at(&mut self, at: Span, text: impl Into<String>, help: impl Into<String>) {
        self.report.error_at(at, text, help);
    }

    /// Reports an error instead of a value.
    fn reject<T>(
        &mut self,
        at: Span,
        text: impl Into<String>,
        help: impl Into<String>,
    ) -> Option<T> {
        self.error_at(at, text, help);
        None
    }

    /// Reports a value of the wrong type.
    fn type_error<T>(&mut self, key: &str, must: &str, node: &SpannedValue<'_>) -> Option<T> {
        let text = format!("expected {must} for `{key}`, found {}", node.value.type_name());
        self.reject(node.at, text, syntax_hint(must, &node.value).unwrap_or_default())
    }

    /// Checks the value of a key. `None` if the key is not there, or its value was rejected.
    fn get<'a, 't, T>(
        &mut self,
        table: &'a RawTable<'t>,
        key: &str,
        check: impl FnOnce(&mut Self, &str, &'a SpannedValue<'t>) -> Option<T>,
    ) -> Option<T> {
        check(self, key, &table.get(key)?.node)
    }

    fn check_keys(&mut self, table: &RawTable<'_>, known: &[SchemaKey], what: &str) {
        self.unknown_keys(table, known, what, |_| None);
    }

    /// Reports the keys of `table` that are not in `known`; `elsewhere` suggests where they belong.
    fn unknown_keys(
        &mut self,
        table: &RawTable<'_>,
        known: &[SchemaKey],
        what: &str,
        elsewhere: fn(&str) -> Option<String>,
    ) {
        for (key, entry) in table {
            if has(known, key) {
                continue;
            }
            let fault =
                DiagnosticBuilder::at(entry.key, format!("unknown key {} in {what}", quote(key)));
            if self.report.is_full() {
                // The report is full, so looking for a suggestion is wasted time.
                self.report.error(fault);
                continue;
            }
            self.error(fault.help(unknown_key_help(key, known, elsewhere)));
        }
    }

    fn text<'a>(&mut self, key: &str, node: &'a SpannedValue<'_>) -> Option<&'a str> {
        match &node.value {
            RawValue::Text(text) => Some(text),
            _ => self.type_error(key, "a string", node),
        }
    }

    fn boolean(&mut self, key: &str, node: &SpannedValue<'_>) -> Option<bool> {
        match node.value {
            RawValue::Boolean(yes) => Some(yes),
            _ => self.type_error(key, "a boolean", node),
        }
    }

    /// Checks an integer. `range` is one of `N`.
    fn number<N: TryFrom<i64>>(
        &mut self,
        key: &str,
        node: &SpannedValue<'_>,
        range: std::ops::RangeInclusive<i64>,
    ) -> Option<N> {
        match node.value {
            RawValue::Integer(Some(number)) if range.contains(&number) => number.try_into().ok(),
            RawValue::Integer(_) => {
                let text = format!("`{key}` must be between {} and {}", range.start(), range.end());
                self.reject(node.at, text, "")
            }
            _ => self.type_error(key, "an integer", node),
        }
    }

    fn table<'a, 't>(&mut self, key: &str, node: &'a SpannedValue<'t>) -> Option<&'a RawTable<'t>> {
        match &node.value {
            RawValue::Table(table) => Some(table),
            _ => self.type_error(key, "a table", node),
        }
    }

    fn keyword<T: Copy>(
        &mut self,
        key: &str,
        node: &SpannedValue<'_>,
        words: &[(&str, T)],
    ) -> Option<T> {
        let RawValue::Text(text) = &node.value else {
            let known: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            let text = format!("expected a string for `{key}`, found {}", node.value.type_name());
            return self.reject(node.at, text, format!("use one of {}", known.join(", ")));
        };
        if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*meaning);
        }
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let help =
            did_you_mean(text, known.iter().copied(), || format!("use one of {}", list_or(&known)));
        self.reject(node.at, format!("invalid value {} for `{key}`", quote(text)), help)
    }

    fn template(&mut self, text: &str, at: Span, syntax: TemplateSyntax) -> Template {
        let (names, services) = (self.names, self.services);
        let find_service = |name: &str| names.find(services, name);
        TemplateParser { find_service: &find_service, report: self.report }.parse(text, at, syntax)
    }

    /// Checks a text that may refer to services and the stack, but keeps variables as written.
    fn template_text(&mut self, key: &str, node: &SpannedValue<'_>) -> Option<Template> {
        let text = self.text(key, node)?;
        Some(self.template(text, node.at, TemplateSyntax::References))
    }

    /// Checks a text that must be known before ports are chosen: it may only refer to the stack.
    fn static_text(&mut self, key: &str, node: &SpannedValue<'_>) -> Option<String> {
        let template = self.template_text(key, node)?;
        let mut out = String::new();
        for part in &template.parts {
            match part {
                TemplatePart::Text(text) => out.push_str(text),
                TemplatePart::Stack { field: StackField::Name, .. } => {
                    out.push_str(&self.stack_name)
                }
                TemplatePart::Stack { field: StackField::Dir, .. } => {
                    out.push_str(&self.dir.to_string_lossy());
                }
                TemplatePart::Stack { field: StackField::ProjectDir, .. } => {
                    out.push_str(&self.project_dir.to_string_lossy());
                }
                TemplatePart::Stack { at, field: StackField::HostInside }
                | TemplatePart::Service { at, .. }
                | TemplatePart::Variable { at, .. } => {
                    let text = format!("`{key}` cannot refer to services");
                    let help = "use only `${stack.name}` and `${stack.dir}` here";
                    return self.reject(*at, text, help);
                }
            }
        }
        Some(out)
    }

    /// Checks a path; relative ones start at the directory of the file.
    fn path(&mut self, key: &str, node: &SpannedValue<'_>) -> Option<PathBuf> {
        let text = self.static_text(key, node)?;
        if text.is_empty() {
            let help = "use `.` for the directory of devstack.toml";
            return self.reject(node.at, format!("`{key}` is empty"), help);
        }
        Some(normalize(&self.dir.join(text)))
    }
}

fn in_order<'a, 't>(table: &'a RawTable<'t>) -> Vec<(&'a str, &'a RawEntry<'t>)> {
    let mut entries: Vec<(&str, &RawEntry<'t>)> =
        table.iter().map(|(name, entry)| (&**name, entry)).collect();
    entries.sort_by_key(|(_, entry)| entry.key);
    entries
}

/// Removes `.` from a path. `..` stays, because the parent of a symlink's target may be elsewhere.
fn normalize(path: &Path) -> PathBuf {
    path.components().collect()
}

/// Returns a hint on how to write the expected type.
fn syntax_hint(must: &str, value: &RawValue<'_>) -> Option<&'static str> {
    let text =
        must.starts_with("a string") || must.starts_with("a path") || must == "a signal name";
    match value {
        RawValue::Text(_) if must == "a boolean" => Some("use true or false, without quotes"),
        RawValue::Text(_) if must == "an integer" => Some("remove the quotes"),
        RawValue::Integer(_) | RawValue::Float(_) | RawValue::Boolean(_) | RawValue::Date
            if text =>
        {
            Some("add quotes")
        }
        _ if must == "a duration" => Some("use a number with a unit: \"250ms\", \"5s\", \"2m\""),
        _ if must == "a table" => Some("write a table as { key = value }"),
        _ if must.starts_with("an array") => Some("write an array as [\"one\", \"two\"]"),
        _ => None,
    }
}

/// Returns where an unknown key belongs, or which key was probably meant.
fn unknown_key_help(
    key: &str,
    known: &[SchemaKey],
    elsewhere: fn(&str) -> Option<String>,
) -> String {
    if let Some(help) = elsewhere(key) {
        return help;
    }
    let known: Vec<&str> = known.iter().map(|key| key.name).collect();
    did_you_mean(key, known.iter().copied(), || match known.as_slice() {
        [first, .., last] if known.len() > 10 => {
            format!("remove it; known keys range from `{first}` to `{last}`")
        }
        known => format!("use one of {}", list_or(known)),
    })
}
