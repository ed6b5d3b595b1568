//! `devstack init`: writes `devstack.toml` from what a directory has.

mod config_draft;
mod import_source;
mod missing_files;
mod offer;
mod trial;
mod venv_path;

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::context;
use super::render::{CommandError, print, warn};
use crate::config::{ConfigOverrides, ImportTrust};
use crate::control::InstanceLock;
use crate::exit_code::ExitCode;
use crate::import::{ImportNote, ImportedContainer, ImportedService, ImportedStack};
use crate::model::{CONFIG_FILE, Message, MessageClass};
use crate::text::{join, one_line};
use config_draft::ConfigDraft;
use import_source::ImportSource;
pub(crate) use offer::offer_init;

/// `devstack init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// Read this file or directory [default: what this directory has]
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// Start the result, correct what ignores its port, and report how long each service takes
    #[arg(long = "try")]
    pub try_it: bool,
    /// Replace an existing devstack.toml, which is kept as devstack.toml.bak
    #[arg(long)]
    pub force: bool,
    /// Print JSON
    #[arg(long, conflicts_with = "try_it")]
    pub json: bool,
}

/// `devstack init`: writes `devstack.toml` and says what it could not carry over.
pub(crate) fn init(args: &InitArgs) -> Result<ExitCode, CommandError> {
    let dir = current_dir()?;
    if !args.force && dir.join(CONFIG_FILE).symlink_metadata().is_ok() {
        let text = format!("{CONFIG_FILE} already exists");
        let help = "check it with `devstack check`, or replace it with `devstack init --force`";
        return Err(Message::new(MessageClass::Usage, text).help(help).into());
    }
    if args.try_it {
        require_no_stack(&dir)?;
    }
    let trust = import_trust()?;
    let (source, trust) = match &args.from {
        Some(path) => (Some(ImportSource::named(&dir, path)?), trust.with_named(path)),
        None => (ImportSource::find(&dir, &trust), trust),
    };
    trust.finish()?;
    let source = source.ok_or_else(|| nothing_found(&dir))?;
    let mut stack = source.read(&dir, &trust)?;
    if stack.services.is_empty() {
        return Err(nothing_found(&dir).into());
    }
    let draft = ConfigDraft::checked(&dir, &stack.to_toml(source.name()))?;
    let backup = draft.install(args.force)?;
    if args.json {
        return print(&(report_json(&source, &stack, backup.as_deref()) + "\n"));
    }
    print(&report(&source, &stack, backup.as_deref()))?;
    stack.notes.iter().for_each(|note| warn(&note_line(note)));
    if args.try_it {
        return trial::run_trial(&dir, &source, &mut stack);
    }
    print("start it with `devstack up`\n")
}

/// Judges files for this user and this directory.
fn import_trust() -> Result<ImportTrust, Message> {
    Ok(ImportTrust::new(&context::sources(Vec::new(), ConfigOverrides::default())?))
}

/// A trial would take over the stack that runs here, and stop it.
fn require_no_stack(dir: &Path) -> Result<(), CommandError> {
    if InstanceLock::find(dir).is_none_or(|found| found.dir != dir) {
        return Ok(());
    }
    let text = "a stack is running in this directory, and a trial would stop it";
    let help = "stop it with `devstack down` first, or omit `--try`";
    Err(CommandError::new(Message::new(MessageClass::Busy, text).help(help), ExitCode::BUSY))
}

fn current_dir() -> Result<PathBuf, Message> {
    std::env::current_dir().map_err(|error| {
        let text = format!("cannot access the current directory: {error}");
        Message::new(MessageClass::Usage, text).help("change to an existing directory")
    })
}

fn nothing_found(dir: &Path) -> Message {
    let text = format!("nothing to start was found in {}", dir.display());
    let help = format!(
        "name a file with `--from`, or write a {CONFIG_FILE}:\n[services.web]\ncommand = \"…\"\nport = 3000"
    );
    Message::new(MessageClass::Usage, text).help(help)
}

/// What was written, with a line for each service.
fn report(source: &ImportSource, stack: &ImportedStack, backup: Option<&Path>) -> String {
    let mut text = format!("{CONFIG_FILE} written from {}:\n", source.name());
    for service in &stack.services {
        text.push_str(&format!("  {}: {}\n", service.name, one_line(&summary(service))));
    }
    if let Some(backup) = backup {
        text.push_str(&format!("the previous file is {}\n", backup.display()));
    }
    let others = source.others();
    if !others.is_empty() {
        let all = join(others, ", ");
        text.push_str(&format!("not read: {all}; choose one with `--from`\n"));
    }
    text
}

/// What a service is, in a few words: `preset flask in api`, `image postgres:17`.
fn summary(service: &ImportedService) -> String {
    if let Some(container) = &service.container {
        return container.shown();
    }
    let what = match (&service.preset, &service.command) {
        (Some(preset), None) => format!("preset {preset}"),
        (Some(preset), Some(command)) => format!("{} (preset {preset})", command.line()),
        (None, Some(command)) => command.line(),
        (None, None) => String::new(),
    };
    match service.dir.as_os_str().is_empty() {
        true => what,
        false => format!("{what} in {}", service.dir.display()),
    }
}

fn note_line(note: &ImportNote) -> String {
    let line = note.line.map(|line| format!(":{line}")).unwrap_or_default();
    let subject = match note.subject.as_str() {
        "" => String::new(),
        subject => format!("{subject}: "),
    };
    one_line(&format!("note: {}{line}: {subject}{}", note.file, note.text)) + "\n"
}

fn report_json(source: &ImportSource, stack: &ImportedStack, backup: Option<&Path>) -> String {
    let services = stack.services.iter().map(|service| {
        let container = service.container.as_ref().map(ImportedContainer::shown);
        json!({ "name": service.name, "preset": service.preset, "container": container, "dir": service.dir.to_string_lossy() })
    });
    let notes = stack.notes.iter().map(|note| {
        json!({ "file": note.file, "line": note.line, "subject": note.subject, "text": note.text })
    });
    json!({
        "file": CONFIG_FILE,
        "from": source.name(),
        "backup": backup.map(|path| path.to_string_lossy()),
        "services": services.collect::<Vec<_>>(),
        "notes": notes.collect::<Vec<_>>(),
    })
    .to_string()
}
