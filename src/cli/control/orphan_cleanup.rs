use std::fs;
use std::path::{Path, PathBuf};

use crate::control::{ClaimError, ClientError, InstanceLock, StateDir};
use crate::model::{CONFIG_FILE, Message, MessageClass};
use crate::process;
use crate::process::CleanupReport;

/// What a stack that no longer runs has left in its project.
pub(crate) struct OrphanCleanup {
    pub project: PathBuf,
    pub state_dir: StateDir,
}

impl OrphanCleanup {
    /// Finds the project that contains `start`; `None` if no stack was ever started there.
    pub fn find(start: &Path) -> Option<OrphanCleanup> {
        let start = fs::canonicalize(start).ok()?;
        for dir in start.ancestors() {
            if let Some(state_dir) = StateDir::existing(dir) {
                return Some(OrphanCleanup { project: dir.to_owned(), state_dir });
            }
            if dir.join(CONFIG_FILE).exists() {
                return None;
            }
        }
        None
    }

    /// Terminates processes of a devstack that was killed with its helpers; `None` if there are
    /// none. Blocks for up to four seconds.
    pub fn run(&self) -> Result<Option<String>, ClientError> {
        let record = self.state_dir.process_record();
        if !record.exists() {
            return Ok(None);
        }
        let name = self.project.file_name().unwrap_or_default().to_string_lossy();
        // Keeps an `up` from starting meanwhile.
        let _claim = InstanceLock::claim(&self.project, &name).map_err(|error| match error {
            ClaimError::Busy(_) => ClientError::Busy(error.message()),
            ClaimError::Failed(message) => ClientError::Denied(message),
        })?;
        summary(&process::clean_up(&record))
    }
}

/// Describes a cleanup; `None` if nothing was left. An error if processes are still running.
pub(super) fn summary(swept: &CleanupReport) -> Result<Option<String>, ClientError> {
    let messages: Vec<Message> = swept.messages();
    let text = messages.iter().map(|message| message.text.as_str()).collect::<Vec<_>>().join("; ");
    if !swept.is_clean() {
        let help = messages.last().map_or("", |message| message.help.as_str());
        return Err(ClientError::Refused(Message::new(MessageClass::Orphan, text).help(help)));
    }
    Ok(Some(text).filter(|text| !text.is_empty()))
}
