//! Parses a configuration file into a tree of values with spans.

mod deep_stack;
mod other_format;
mod procfile;
mod value;

pub(crate) use procfile::{
    ProcessRole, ProcfileEntry, VENV_PATH, VENVS, is_procfile, read_procfile,
};
pub(crate) use value::{RawEntry, RawTable, RawValue, SpannedValue, merge};

use std::borrow::Cow;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostics::{DiagnosticBuilder, LoadReport, SourceFile, Span, quote};
use deep_stack::on_deep_stack;

/// Maximum number of services: more than one machine runs, and few enough for every list.
pub(super) const MAX_SERVICES: usize = 4096;

/// Valid files need at most six levels; without a limit, recursion could overflow the stack.
const MAX_DEPTH: usize = 24;

/// How many characters that can open a level of nesting (`.`, `[`, `{`) a text may have to be
/// parsed on the current stack. A hundred services have about a thousand.
const MAX_SHALLOW_LEVELS: usize = 2000;

/// Parses a file: TOML, or a Procfile by its name. Errors are reported, and then there is no tree.
pub(super) fn parse_file<'t>(
    source: &'t SourceFile,
    file: u32,
    report: &mut LoadReport,
) -> Option<RawTable<'t>> {
    match is_procfile(source.path()) {
        true => procfile::parse(source, file, report),
        false => parse(source.text(), file, report),
    }
}

/// Parses TOML. Syntax errors are reported, several at once. Then there is no tree, because what
/// surrounds a syntax error is guesswork.
pub(super) fn parse<'t>(text: &'t str, file: u32, report: &mut LoadReport) -> Option<RawTable<'t>> {
    if !needs_deep_stack(text) {
        return parse_here(text, file, report);
    }
    let parsed = on_deep_stack(|| parse_here(text, file, report));
    parsed.unwrap_or_else(|error| {
        let text = format!("cannot start a thread to parse this file: {error}");
        let help = "free up threads or memory, then try again";
        report.error_at(Span::new(file, 0..0), text, help);
        None
    })
}

/// Whether a text may be nested too deeply for the current stack.
pub(super) fn needs_deep_stack(text: &str) -> bool {
    text.bytes().filter(|byte| matches!(byte, b'.' | b'[' | b'{')).count() >= MAX_SHALLOW_LEVELS
}

fn parse_here<'t>(text: &'t str, file: u32, report: &mut LoadReport) -> Option<RawTable<'t>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty()
        && let Some((range, message, help)) = other_format::recognize(text)
    {
        // One error, not one for each line.
        report.error_at(Span::new(file, range), message, help);
        return None;
    }
    let before = report.count();
    let mut repeated: Option<Range<usize>> = None;
    for error in &errors {
        let range = range_of(error, text);
        if is_duplicate(error) {
            // The keys below a duplicate table would all be reported again.
            let follows = repeated.as_ref().is_some_and(|header| {
                text.get(header.end..range.start).is_some_and(|between| !between.contains("\n["))
            });
            if follows {
                continue;
            }
            let line_start = text[..range.start].rfind('\n').map_or(0, |newline| newline + 1);
            let is_header = text[line_start..].trim_start().starts_with('[');
            repeated = is_header.then(|| range.clone());
        }
        report.error(syntax_fault(error, text, Span::new(file, range)));
    }
    if !errors.is_empty() {
        return None;
    }
    let mut convert = TomlConverter { file, report };
    let table = convert.table(table.into_inner(), 0);
    (convert.report.count() == before).then_some(table)
}

fn is_duplicate(error: &toml::de::Error) -> bool {
    error.message().starts_with("duplicate key")
}

fn range_of(error: &toml::de::Error, text: &str) -> Range<usize> {
    let range = error.span().unwrap_or(0..0);
    let mut start = range.start.min(text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let mut end = range.end.clamp(start, text.len());
    while !text.is_char_boundary(end) {
        end += 1;
    }
    start..end
}

fn syntax_fault(error: &toml::de::Error, text: &str, at: Span) -> DiagnosticBuilder {
    let message = error.message();
    if is_duplicate(error) {
        let key = quote(&text[at.start as usize..at.end as usize]);
        return DiagnosticBuilder::at(at, format!("duplicate key {key}"))
            .help("remove one of them");
    }
    let help = if message.starts_with("string values must be quoted") {
        "quote strings: key = \"value\""
    } else if message.contains("recurs") {
        "reduce the nesting; no configuration needs this depth"
    } else {
        "invalid TOML: tables are [name], keys are key = value, and strings must be quoted"
    };
    DiagnosticBuilder::at(at, message).help(help)
}

struct TomlConverter<'r> {
    file: u32,
    report: &'r mut LoadReport,
}

impl TomlConverter<'_> {
    fn place<T>(&self, spanned: &Spanned<T>) -> Span {
        Span::new(self.file, spanned.span())
    }

    fn table<'t>(&mut self, table: DeTable<'t>, depth: usize) -> RawTable<'t> {
        let entry = |(key, value): (Spanned<Cow<'t, str>>, Spanned<DeValue<'t>>)| {
            let at = self.place(&key);
            let name = key.into_inner();
            self.refuse_nul(&name, at);
            (name, RawEntry { key: at, node: self.node(value, depth + 1) })
        };
        table.into_iter().map(entry).collect()
    }

    fn node<'t>(&mut self, spanned: Spanned<DeValue<'t>>, depth: usize) -> SpannedValue<'t> {
        let at = self.place(&spanned);
        if depth > MAX_DEPTH {
            let help = "reduce the nesting to at most six levels";
            self.report.error_at(at, "values are nested too deeply", help);
            return SpannedValue { at, value: RawValue::Boolean(false) };
        }
        SpannedValue { at, value: self.value(spanned.into_inner(), at, depth) }
    }

    fn value<'t>(&mut self, value: DeValue<'t>, at: Span, depth: usize) -> RawValue<'t> {
        match value {
            DeValue::String(text) => {
                self.refuse_nul(&text, at);
                RawValue::Text(text)
            }
            DeValue::Integer(number) => {
                RawValue::Integer(i64::from_str_radix(number.as_str(), number.radix()).ok())
            }
            DeValue::Float(number) => RawValue::Float(number.as_str().to_owned()),
            DeValue::Boolean(yes) => RawValue::Boolean(yes),
            DeValue::Datetime(_) => RawValue::Date,
            DeValue::Array(list) => {
                RawValue::List(list.into_iter().map(|item| self.node(item, depth + 1)).collect())
            }
            DeValue::Table(table) => RawValue::Table(self.table(table, depth)),
        }
    }

    /// Rejects NUL: arguments, variables and paths cannot contain it.
    fn refuse_nul(&mut self, text: &str, at: Span) {
        if text.contains('\0') {
            let help = "remove it: arguments, variables and paths cannot contain NUL";
            self.report.error_at(at, "string contains a NUL character", help);
        }
    }
}
