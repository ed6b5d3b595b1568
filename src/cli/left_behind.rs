use std::fs;
use std::path::{Path, PathBuf};

use crate::control::{ClaimError, Failure, Instance, existing_state_dir};
use crate::model::{Class, Message};
use crate::runtime::process::{self, Swept};

/// What a stack that does not run any more has left in its project.
pub(super) struct LeftBehind {
    /// The folder of the project.
    pub project: PathBuf,
    /// The folder of its own files.
    pub state_dir: PathBuf,
}

impl LeftBehind {
    /// Of the project that `start` is in; `None` when no stack was ever started there.
    pub fn find(start: &Path) -> Option<LeftBehind> {
        let start = fs::canonicalize(start).ok()?;
        for dir in start.ancestors() {
            if let Some(state_dir) = existing_state_dir(dir) {
                return Some(LeftBehind { project: dir.to_owned(), state_dir });
            }
            if dir.join("devstack.toml").exists() {
                return None;
            }
        }
        None
    }

    /// Where it is recorded what runs.
    pub fn record(state_dir: &Path) -> PathBuf {
        state_dir.join("runs.json")
    }

    /// Ends the processes that are left because devstack was killed with all its helpers. What there is to say
    /// about it; `None` when nothing was left. Blocks for up to four seconds.
    pub fn end_processes(&self) -> Result<Option<String>, Failure> {
        let record = LeftBehind::record(&self.state_dir);
        if !record.exists() {
            return Ok(None);
        }
        let name = self.project.file_name().unwrap_or_default().to_string_lossy();
        // Keeps an `up` from starting meanwhile.
        let _claim = Instance::claim(&self.project, &name).map_err(|error| match error {
            ClaimError::Busy(_) => Failure::Busy(error.message()),
            ClaimError::Failed(message) => Failure::Denied(message),
        })?;
        told(&process::sweep(&record))
    }
}

/// What there is to say about a sweep; `None` when nothing was left. An error when something still is.
pub(super) fn told(swept: &Swept) -> Result<Option<String>, Failure> {
    let messages: Vec<Message> = swept.messages();
    let text = messages.iter().map(|message| message.text.as_str()).collect::<Vec<_>>().join("; ");
    if !swept.is_clean() {
        let help = messages.last().map_or("", |message| message.help.as_str());
        return Err(Failure::Refused(Message::new(Class::Orphan, text).help(help)));
    }
    Ok(Some(text).filter(|text| !text.is_empty()))
}
