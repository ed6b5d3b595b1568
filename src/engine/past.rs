use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use super::slot::Time;
use crate::model::{ExitClass, ProcessExit, RunId};

/// How many runs of a service are remembered: as many as fit on a screen with the rest of `why`.
pub(super) const HISTORY: usize = 5;

/// Recent history of a service, for `why`. No decision depends on it.
#[derive(Debug, Clone, Default)]
pub(super) struct Past {
    /// How the last runs exited, newest first.
    pub runs: VecDeque<PastEnd>,
    /// When the process of the current or last run was spawned; `None`: not reported.
    pub spawned: Option<Time>,
    /// The file change that last led to an action.
    pub trigger: Option<Triggered>,
}

#[derive(Debug, Clone)]
pub(super) struct PastEnd {
    pub run: RunId,
    /// Which start of the service it was, counted from 1.
    pub start: u32,
    pub at: Time,
    pub exit: ProcessExit,
    pub lived: Option<Duration>,
    pub by: ExitClass,
}

#[derive(Debug, Clone)]
pub(super) struct Triggered {
    pub at: Time,
    pub path: PathBuf,
    /// The action, as text for the user.
    pub action: String,
}

impl Past {
    pub fn ended(&mut self, run: RunId, start: u32, at: Time, exit: ProcessExit, by: ExitClass) {
        let lived = self.spawned.take().map(|spawned| at.saturating_sub(spawned));
        self.runs.push_front(PastEnd { run, start, at, exit, lived, by });
        self.runs.truncate(HISTORY);
    }

    pub fn triggered(&mut self, at: Time, path: PathBuf, action: String) {
        self.trigger = Some(Triggered { at, path, action });
    }
}
