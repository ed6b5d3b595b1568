use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::control::{
    ClaimError, ClientError, CrashedInstance, InstanceLock, ProjectDir, StateDir,
};
use crate::model::{CONFIG_FILES, Message, MessageClass};
use crate::process;
use crate::process::CleanupReport;
use crate::supervisor::containers::{find_left, remove_left};
use crate::text::join;

/// What a stack that no longer runs has left in its project.
pub(crate) struct OrphanCleanup {
    pub project: PathBuf,
    /// With the record of its processes, unless it was removed.
    pub state_dir: Option<StateDir>,
    /// Marks its processes, if it was killed. Not in the project, so it outlives the record.
    token: Option<String>,
}

impl OrphanCleanup {
    /// Finds the project that contains `start`; `None` if no stack was ever started there.
    pub fn find(start: &Path) -> Option<OrphanCleanup> {
        let start = fs::canonicalize(start).ok()?;
        let mut killed = CrashedInstance::all();
        for dir in start.ancestors() {
            let is_here = |one: &CrashedInstance| matches!(&one.dir, ProjectDir::InPlace(place) if place == dir);
            let killed = killed.extract_if(.., |one| is_here(one)).next();
            let state_dir = StateDir::existing(dir);
            if state_dir.is_some() || killed.is_some() {
                let token = killed.and_then(|killed| killed.holder.token);
                return Some(OrphanCleanup { project: dir.to_owned(), state_dir, token });
            }
            if CONFIG_FILES.iter().any(|file| dir.join(file).is_file()) {
                return None;
            }
        }
        None
    }

    /// Lists the processes that are left. Changes nothing.
    pub fn processes(&self) -> io::Result<Vec<(u32, String)>> {
        process::find_orphans(self.record().as_deref(), self.token.as_deref())
    }

    /// Lists the containers that are left. Changes nothing.
    pub fn containers(&self) -> Vec<String> {
        find_left(&process::left_containers(self.record().as_deref(), self.token.as_deref()))
    }

    fn record(&self) -> Option<PathBuf> {
        self.state_dir.as_ref().map(StateDir::process_record)
    }

    /// Terminates processes of a devstack that was killed with its guard; `None` if there are none.
    /// Blocks for up to four seconds.
    pub fn run(&self) -> Result<Option<String>, ClientError> {
        let record = self.record().filter(|record| record.exists());
        if record.is_none() && self.token.is_none() {
            return Ok(None);
        }
        let name = self.project.file_name().unwrap_or_default().to_string_lossy();
        // Keeps an `up` from starting meanwhile.
        let claim = InstanceLock::claim(&self.project, &name).map_err(|error| match error {
            ClaimError::Busy(_) => ClientError::Busy(error.message()),
            ClaimError::Failed(message) => ClientError::Denied(message),
        })?;
        let swept = remove_left(process::clean_up(record.as_deref(), self.token.as_deref()));
        if swept.is_clean() {
            claim.nothing_is_left();
        }
        summary(&swept)
    }
}

/// Describes a cleanup; `None` if nothing was left. An error if processes are still running.
pub(super) fn summary(swept: &CleanupReport) -> Result<Option<String>, ClientError> {
    let messages: Vec<Message> = swept.messages();
    let text = join(&messages, "; ");
    if !swept.is_clean() {
        let help = messages.last().map_or("", |message| message.help.as_str());
        return Err(ClientError::Refused(Message::new(MessageClass::Orphan, text).help(help)));
    }
    Ok(Some(text).filter(|text| !text.is_empty()))
}
