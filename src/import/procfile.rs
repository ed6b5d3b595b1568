//! Procfiles: foreman, Heroku, overmind.

use std::path::PathBuf;

use super::{
    ImportNote, ImportedCommand, ImportedProbe, ImportedService, ImportedStack, NEED_NOT_LISTEN,
    ProbeTest,
};
use crate::config::diagnostics::LoadReport;
use crate::config::{DiagnosticList, ProcessRole, ProcfileEntry, SourceFile, read_procfile};
use crate::model::Condition;
use crate::presets::detect_preset;
use crate::text::quote;

/// Reads a Procfile. `file` is its name for errors and notes. The services are the same as those of
/// a stack that uses the Procfile itself, with the presets of their commands.
///
/// # Errors
///
/// Its lines with errors.
pub fn read_procfile_stack(text: String, file: &str) -> Result<ImportedStack, DiagnosticList> {
    let mut report = LoadReport::default();
    let source = SourceFile::config(PathBuf::from(file), file.to_owned(), text);
    let (number, source) = report.add_source(source);
    let entries = read_procfile(source.text(), number, &mut report);
    report.finish()?;
    let release = entries.iter().find(|entry| entry.role == ProcessRole::Release);
    let release = release.map(|entry| entry.service.to_string());
    let renamed = entries.iter().filter(|entry| entry.name != entry.service.as_str());
    let notes = renamed.map(|entry| ImportNote {
        file: file.to_owned(),
        line: u32::try_from(entry.line).ok(),
        subject: quote(entry.name),
        text: format!("is service `{}`: names have only a-z, 0-9 and `-`", entry.service),
    });
    let services = entries.iter().map(|entry| service(entry, release.as_deref()));
    Ok(ImportedStack {
        services: services.collect(),
        notes: notes.collect(),
        ..ImportedStack::default()
    })
}

fn service(entry: &ProcfileEntry<'_>, release: Option<&str>) -> ImportedService {
    let mut service = ImportedService {
        name: entry.service.to_string(),
        command: Some(ImportedCommand::Shell(entry.command.to_owned())),
        ..ImportedService::default()
    };
    let port = match entry.role {
        ProcessRole::Release => {
            service.is_task = true;
            return service;
        }
        ProcessRole::Server(port) | ProcessRole::Worker(port) => port,
    };
    let words = shell_words::split(entry.command).unwrap_or_default();
    let preset = detect_preset(&words);
    service.preset = preset.map(|preset| preset.name.to_owned());
    service.port = Some(port.unwrap_or(0));
    if matches!(entry.role, ProcessRole::Worker(_)) && preset.is_none() {
        service.comments = vec![NEED_NOT_LISTEN.to_owned()];
        service.ready = Some(ImportedProbe::of(ProbeTest::Started));
    }
    let release = release.map(|release| (release.to_owned(), Condition::Completed));
    service.depends_on.extend(release);
    service
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_is_a_stack_with_presets() {
        let text =
            "web_app: flask run --port $PORT\nclock: python clock.py\nrelease: flask db upgrade\n";
        let stack = read_procfile_stack(text.to_owned(), "Procfile").unwrap();
        insta::with_settings!({ omit_expression => true }, {
            insta::assert_snapshot!("procfile", stack.to_toml("Procfile"));
        });
        let [note] = &stack.notes[..] else { panic!("{:?}", stack.notes) };
        assert_eq!((note.line, &*note.subject), (Some(1), "`web_app`"));
        let error = read_procfile_stack("web\n".to_owned(), "Procfile").unwrap_err();
        assert_eq!(error.list()[0].location(), Some(("Procfile", 1, 1)));
    }
}
