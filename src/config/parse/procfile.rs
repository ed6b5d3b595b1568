//! Reads a Procfile, the format of foreman and Heroku: one `name: command` in each line. It becomes
//! the same tree of values as TOML, so that everything after it is the same.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use super::{MAX_SERVICES, RawEntry, RawTable, RawValue, SpannedValue};
use crate::config::diagnostics::{DiagnosticBuilder, LoadReport, SourceFile, Span, quote};
use crate::model::{Message, MessageClass, Name, UniqueNames};

/// The process that runs to completion before the others start.
const RELEASE: &str = "release";

/// The process that serves requests.
const WEB: &str = "web";

const WEB_PORT: u16 = 5000;

/// The distance between the ports of two processes.
const PORT_STEP: u16 = 100;

/// The directories that virtual environments of Python usually are in.
pub(crate) const VENVS: [&str; 2] = [".venv", "venv"];

/// A `PATH` with the programs of the virtual environments in the directories of the service and the
/// stack, as in the presets for Python.
pub(crate) const VENV_PATH: &str =
    ".venv/bin:venv/bin:${stack.dir}/.venv/bin:${stack.dir}/venv/bin:${PATH:-/usr/bin:/bin}";

/// Whether a file is read as a Procfile: `Procfile`, or `Procfile.` and anything.
pub(crate) fn is_procfile(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy());
    name.is_some_and(|name| name == "Procfile" || name.starts_with("Procfile."))
}

/// A process of a Procfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProcfileEntry<'t> {
    /// The name of its service: the written one, or the nearest that is valid and unique.
    pub service: Name,
    /// The name as written.
    pub name: &'t str,
    /// Not empty.
    pub command: &'t str,
    pub role: ProcessRole,
    /// From 1.
    pub line: usize,
    name_at: Span,
    command_at: Span,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProcessRole {
    /// Runs to completion before the others start.
    Release,
    /// Listens on its port; `None` is any.
    Server(Option<u16>),
    /// Gets a port, but need not listen on it.
    Worker(Option<u16>),
}

/// Parses a Procfile. `None` if it has errors.
pub(super) fn parse<'t>(
    source: &'t SourceFile,
    file: u32,
    report: &mut LoadReport,
) -> Option<RawTable<'t>> {
    let before = report.count();
    let entries = read_procfile(source.text(), file, report);
    if report.count() > before {
        return None;
    }
    if entries.len() > MAX_SERVICES {
        let text = format!("too many services: {}", entries.len());
        report.error_at(Span::new(file, 0..0), text, format!("use at most {MAX_SERVICES}"));
        return None;
    }
    let shown = report.shown(file).to_owned();
    for entry in entries.iter().filter(|entry| entry.name != entry.service.as_str()) {
        let ProcfileEntry { service, line, .. } = entry;
        let text = format!("{shown}:{line}: process {} is service `{service}`", quote(entry.name));
        report.note(Message::new(MessageClass::Config, text));
    }
    let has_release = entries.iter().any(|entry| entry.role == ProcessRole::Release);
    let service = |entry: &ProcfileEntry<'t>| {
        let mut table = entry.to_table(has_release);
        if source.is_beside_venv() {
            table.insert("env".into(), entry.venv_path());
        }
        (Cow::Owned(entry.service.to_string()), raw_entry(entry.name_at, RawValue::Table(table)))
    };
    let services = RawValue::Table(entries.iter().map(service).collect());
    Some(RawTable::from([("services".into(), raw_entry(Span::new(file, 0..0), services))]))
}

/// Reads the processes of a Procfile in its order. Lines with errors are left out.
pub(crate) fn read_procfile<'t>(
    text: &'t str,
    file: u32,
    report: &mut LoadReport,
) -> Vec<ProcfileEntry<'t>> {
    let before = report.count();
    let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
    let mut names = UniqueNames::default();
    let mut lines = Vec::new();
    let mut start = 0;
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        let at = start;
        start += line.len();
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        let line = match ProcfileLine::parse(line, at, number, file) {
            Ok(line) => line,
            Err(fault) => {
                report.error(fault);
                continue;
            }
        };
        if let Some(first) = seen.insert(line.name, line.name_at) {
            let text = format!("duplicate process {}", quote(line.name));
            let fault = DiagnosticBuilder::at(line.name_at, text);
            report.error(fault.secondary(first, "first here").help("rename one of them"));
            continue;
        }
        if let Ok(name) = Name::new(line.name) {
            // No other name becomes this one.
            names.reserve(name);
        }
        lines.push(line);
    }
    if lines.is_empty() && report.count() == before {
        let help = "add a line for each process: web: python app.py";
        report.error_at(Span::new(file, 0..0), "no processes defined", help);
    }
    entries(lines, names)
}

/// Gives each process its service name and, in order, its port.
fn entries<'t>(lines: Vec<ProcfileLine<'t>>, mut names: UniqueNames) -> Vec<ProcfileEntry<'t>> {
    let other = Name::new("process").expect("a valid name");
    let mut port = Some(WEB_PORT);
    let entry = |line: ProcfileLine<'t>| {
        let ProcfileLine { name, command, number: line, name_at, command_at } = line;
        let service = Name::new(name).unwrap_or_else(|_| names.take(name, &other));
        let role = match name {
            RELEASE => ProcessRole::Release,
            WEB => ProcessRole::Server(Some(WEB_PORT)),
            _ => {
                port = port.and_then(|port| port.checked_add(PORT_STEP));
                // A command that passes the port on starts a server.
                match command.contains("$PORT") || command.contains("${PORT") {
                    true => ProcessRole::Server(port),
                    false => ProcessRole::Worker(port),
                }
            }
        };
        ProcfileEntry { service, name, command, role, line, name_at, command_at }
    };
    lines.into_iter().map(entry).collect()
}

impl<'t> ProcfileEntry<'t> {
    /// Returns the variables with which it runs what a virtual environment has.
    fn venv_path(&self) -> RawEntry<'static> {
        let path = raw_entry(self.name_at, RawValue::Text(VENV_PATH.into()));
        raw_entry(self.name_at, RawValue::Table(RawTable::from([("PATH".into(), path)])))
    }

    /// Returns the keys of its service. What the file does not say has the span of the name.
    fn to_table(&self, has_release: bool) -> RawTable<'t> {
        let said = |value| raw_entry(self.name_at, value);
        let command = RawValue::Text(self.command.into());
        let mut table = RawTable::from([("command".into(), raw_entry(self.command_at, command))]);
        let (port, listens) = match self.role {
            ProcessRole::Release => {
                table.insert("kind".into(), said(RawValue::Text("task".into())));
                return table;
            }
            ProcessRole::Server(port) => (port, true),
            ProcessRole::Worker(port) => (port, false),
        };
        let port = match port {
            Some(port) => RawValue::Integer(Some(port.into())),
            None => RawValue::Text("auto".into()),
        };
        table.insert("port".into(), said(port));
        if !listens {
            let nothing = RawTable::from([("tcp".into(), said(RawValue::Boolean(false)))]);
            table.insert("ready".into(), said(RawValue::Table(nothing)));
        }
        if self.name == WEB {
            table.insert("primary".into(), said(RawValue::Boolean(true)));
        }
        if has_release {
            let release = RawValue::Text(RELEASE.into());
            let list = vec![SpannedValue { at: self.name_at, value: release }];
            table.insert("depends_on".into(), said(RawValue::List(list)));
        }
        table
    }
}

fn raw_entry(at: Span, value: RawValue<'_>) -> RawEntry<'_> {
    RawEntry { key: at, node: SpannedValue { at, value } }
}

/// A line with a process.
struct ProcfileLine<'t> {
    name: &'t str,
    command: &'t str,
    /// From 1.
    number: usize,
    name_at: Span,
    command_at: Span,
}

impl<'t> ProcfileLine<'t> {
    /// Parses a line that is neither empty nor a comment. `start` is its offset in the file.
    fn parse(
        line: &'t str,
        start: usize,
        number: usize,
        file: u32,
    ) -> Result<ProcfileLine<'t>, DiagnosticBuilder> {
        let place = |part: &str| {
            let offset = start + (part.as_ptr() as usize - line.as_ptr() as usize);
            Span::new(file, offset..offset + part.len())
        };
        let whole = line.trim();
        let fault = |part: &str, text: String, help: &str| {
            Err(DiagnosticBuilder::at(place(part), text).help(help))
        };
        if whole.contains('\0') {
            let help = "remove it: commands cannot contain NUL";
            return fault(whole, "the line contains a NUL character".to_owned(), help);
        }
        if whole.contains('\r') {
            let text = "carriage return within a line".to_owned();
            return fault(whole, text, "save the file with Unix line endings (LF)");
        }
        let Some((name, command)) = whole.split_once(':') else {
            let help =
                "write the name of the process, a colon and its command; comments start with `#`";
            return fault(whole, "expected `name: command`".to_owned(), help);
        };
        let (name, command) = (name.trim_end(), command.trim_start());
        let fits = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
        if name.is_empty() {
            let text = "missing process name".to_owned();
            return fault(whole, text, "write `name: command`");
        }
        if !name.chars().all(fits) {
            let text = format!("invalid process name {}", quote(name));
            return fault(name, text, "use letters, digits, `-` and `_`");
        }
        if command.is_empty() {
            let text = format!("process {} has no command", quote(name));
            return fault(name, text, "write its command after the colon, or remove the line");
        }
        // Two backslashes are one for the shell.
        if command.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1 {
            let text = "a command cannot continue on the next line".to_owned();
            return fault(command, text, "write it on one line, or in a script");
        }
        let (name_at, command_at) = (place(name), place(command));
        Ok(ProcfileLine { name, command, number, name_at, command_at })
    }
}
