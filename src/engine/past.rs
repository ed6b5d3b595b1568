use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use super::slot::Time;
use crate::model::{EndedBy, Exit, Run};

/// How many ends of a service are remembered: as many as fit on a screen with the rest.
pub(super) const HISTORY: usize = 5;

/// What was, for people who ask why. Nothing is decided by it.
#[derive(Debug, Clone, Default)]
pub(super) struct Past {
    /// How the last runs ended, the newest first.
    pub runs: VecDeque<PastEnd>,
    /// When the process of the current or last run was started; `None`: that was not told.
    pub spawned: Option<Time>,
    /// The file that last brought something about.
    pub trigger: Option<Triggered>,
}

/// How a run ended.
#[derive(Debug, Clone)]
pub(super) struct PastEnd {
    pub run: Run,
    /// Which start of the service it was, from 1.
    pub start: u32,
    pub at: Time,
    pub exit: Exit,
    pub lived: Option<Duration>,
    pub by: EndedBy,
}

/// A file that brought something about.
#[derive(Debug, Clone)]
pub(super) struct Triggered {
    pub at: Time,
    pub path: PathBuf,
    /// What followed, for people.
    pub action: String,
}

impl Past {
    /// A run ended, the one of this start of the service.
    pub fn ended(&mut self, run: Run, start: u32, at: Time, exit: Exit, by: EndedBy) {
        let lived = self.spawned.take().map(|spawned| at.saturating_sub(spawned));
        self.runs.push_front(PastEnd { run, start, at, exit, lived, by });
        self.runs.truncate(HISTORY);
    }

    /// A file brought something about.
    pub fn triggered(&mut self, at: Time, path: PathBuf, action: String) {
        self.trigger = Some(Triggered { at, path, action });
    }
}
