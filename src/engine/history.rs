use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use super::service_state::EngineTime;
use crate::model::{ExitClass, ProcessExit, RunId};

/// How many runs of a service are remembered: as many as fit on a screen with the rest of `why`.
const HISTORY: usize = 5;

/// Recent history of a service, for `why`. No decision depends on it.
#[derive(Debug, Clone, Default)]
pub(super) struct RunHistory {
    /// How the last runs exited, newest first.
    pub runs: VecDeque<EndedRun>,
    /// The file change that last led to an action.
    pub trigger: Option<LastTrigger>,
}

#[derive(Debug, Clone)]
pub(super) struct EndedRun {
    pub run: RunId,
    /// Which start of the service it was, counted from 1.
    pub start: u32,
    pub at: EngineTime,
    pub exit: ProcessExit,
    pub lived: Option<Duration>,
    pub by: ExitClass,
    /// What became known of it later.
    pub note: Option<String>,
}

#[derive(Debug, Clone)]
pub(super) struct LastTrigger {
    pub at: EngineTime,
    pub path: PathBuf,
    /// The action, as text for the user.
    pub action: String,
}

impl RunHistory {
    /// Adds what became known of a run, if that has ended.
    pub fn note(&mut self, run: RunId, text: &str) {
        if let Some(ended) = self.runs.iter_mut().find(|ended| ended.run == run) {
            ended.note = Some(text.to_owned());
        }
    }

    pub fn ended(&mut self, run: EndedRun) {
        self.runs.push_front(run);
        self.runs.truncate(HISTORY);
    }

    pub fn triggered(&mut self, at: EngineTime, path: PathBuf, action: String) {
        self.trigger = Some(LastTrigger { at, path, action });
    }
}
