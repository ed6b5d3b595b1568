use std::path::PathBuf;

use super::{ConfigDraft, ImportSource, current_dir, import_trust, note_line, report};
use crate::cli::render::{CommandError, warn};
use crate::cli::start::{PromptReply, TtyPrompt};
use crate::model::CONFIG_FILES;

/// At a terminal, offers to write `devstack.toml` where no configuration is found but something is
/// known to start. Without a terminal or with `-f`, `up` reports the error as always.
///
/// # Errors
/// The user pressed Ctrl-C, or the file cannot be written.
pub(crate) fn offer_init(files: &[PathBuf]) -> Result<(), CommandError> {
    let dir = current_dir()?;
    let exists = |dir: &std::path::Path| CONFIG_FILES.iter().any(|file| dir.join(file).is_file());
    if !files.is_empty() || dir.ancestors().any(exists) {
        return Ok(());
    }
    let Some(mut person) = TtyPrompt::here() else { return Ok(()) };
    let trust = import_trust()?;
    let Some(source) = ImportSource::find(&dir, &trust) else { return Ok(()) };
    let stack = source.read(&dir, &trust);
    if trust.finish().is_err() {
        return Ok(());
    }
    let stack = stack?;
    let draft = ConfigDraft::checked(&dir, &stack.to_toml(source.name()))?;
    let names: Vec<&str> = stack.services.iter().map(|service| service.name.as_str()).collect();
    let question = format!(
        "no devstack.toml in this directory; write one from {} with {} and start it? [Y/n]",
        source.name(),
        names.join(", ")
    );
    let reply = match person.ask(&question) {
        PromptReply::Line(line) => line,
        PromptReply::End => return Ok(()),
        PromptReply::Interrupt => return Err(CommandError::Interrupted),
    };
    if matches!(reply.as_str(), "" | "y" | "yes") {
        draft.install(false)?;
        warn(&report(&source, &stack, None));
        stack.notes.iter().for_each(|note| warn(&note_line(note)));
    }
    Ok(())
}
