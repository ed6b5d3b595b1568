//! Procfiles: one line for each process, for foreman, honcho, overmind and Heroku.

use super::{Export, ExportNotes, shell};
use crate::model::{
    PortableCommand, PortableService, PortableStack, PortableText, ServiceKind, TextPiece,
    signal_name,
};
use crate::text::one_line;

/// The name that stands for a task which runs before the processes.
const RELEASE: &str = "release";

pub fn procfile(stack: &PortableStack) -> Export {
    let mut notes = ExportNotes::new("procfile", stack);
    let mut body = String::new();
    for service in stack.services.values() {
        note(stack, service, &mut notes);
        if let Some(description) = service.description.as_deref().filter(|text| !text.is_empty()) {
            body += &format!("# {}\n", one_line(description));
        }
        // The programs end all processes when one ends, as a task does.
        let runs = match service.kind {
            ServiceKind::Service => service.autostart,
            ServiceKind::Task => service.name.as_str() == RELEASE,
        };
        let comment = if runs { "" } else { "# " };
        body += &format!("{comment}{}: {}\n", service.name, line(stack, service));
    }
    Export::single("Procfile", &body, notes)
}

/// Returns the command of a service with its directory and variables.
fn line(stack: &PortableStack, service: &PortableService) -> String {
    let dir = match service.dir.strip_prefix(&stack.dir) {
        Ok(below) if below.as_os_str().is_empty() => String::new(),
        Ok(below) => format!("cd {} && ", shell::one_line_word(&below.to_string_lossy())),
        Err(_) => format!("cd {} && ", shell::one_line_word(&service.dir.to_string_lossy())),
    };
    let variable = |(name, text): (&String, &PortableText)| format!("{name}={} ", word(text));
    let variables: String = service.env.iter().map(variable).collect();
    let env = if variables.is_empty() { "" } else { "env " };
    let command = match &service.command {
        PortableCommand::Shell(text) => {
            format!("sh -c {}", shell::one_line_word(&shell::raw(text)))
        }
        PortableCommand::Exec(words) => words.iter().map(word).collect::<Vec<_>>().join(" "),
    };
    format!("{dir}exec {env}{variables}{command}")
}

/// Writes a text as one word without line breaks.
fn word(text: &PortableText) -> String {
    let word = shell::word(text);
    match text.as_literal() {
        Some(text) => shell::one_line_word(text),
        None if word.contains('\n') => {
            let lines = word[1..word.len() - 1].split('\n');
            let lines: Vec<String> = lines.map(|line| format!("\"{line}\"")).collect();
            let format = vec!["%s"; lines.len()].join("\\n");
            format!("\"$(printf '{format}' {})\"", lines.join(" "))
        }
        None => word,
    }
}

fn note(stack: &PortableStack, service: &PortableService, notes: &mut ExportNotes) {
    if service.kind == ServiceKind::Task && service.name.as_str() != RELEASE {
        notes.step(
            service,
            "a task, so it is a comment: run its command before the processes start",
        );
    }
    for (name, text) in &service.env {
        let last = text.pieces.last();
        if matches!(last, Some(TextPiece::Literal(text)) if text.ends_with('\n')) {
            notes.lose(format!("the line break at the end of {name}"), service);
        }
    }
    let stop = &service.stop;
    let lost = [
        ("`depends_on`: all start at once", !service.depends_on.is_empty()),
        ("`health`", service.health.is_some()),
        ("`stop`", stop.command.is_some() || signal_name(stop.signal) != Some("TERM")),
        ("`restart`: all end when one does", service.kind == ServiceKind::Service),
    ];
    notes.lose_those(service, &lost);
    for file in service.env_files.iter().filter(|file| file.path != stack.dir.join(".env")) {
        let path = file.path.strip_prefix(&stack.dir).unwrap_or(&file.path).to_string_lossy();
        let step = format!("{path} is not read by default: start with `-e .env,{path}`");
        notes.step(service, step);
    }
}
