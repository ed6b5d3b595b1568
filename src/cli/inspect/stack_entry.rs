use std::io::Write;
use std::path::PathBuf;
use std::time::UNIX_EPOCH;

use jiff::Timestamp;
use serde::Serialize;

use crate::control::{InstanceRecord, ProjectDir};
use crate::git_repository::GitRepository;
use crate::ports::display_home_relative;
use crate::text::one_line;

/// Version of the JSON of `--all --json`.
const VERSION: u32 = 1;

/// Identifies one of the stacks of this user. Fields may be added, never renamed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct StackEntry {
    /// Its name; like most fields, `None` while it starts.
    pub stack: Option<String>,
    /// Its directory, or the last known one.
    pub dir: Option<String>,
    /// `there`, `moved`, `deleted`, `gone` (moved or deleted) or `unknown`.
    #[serde(rename = "folder")]
    pub directory: &'static str,
    /// The main worktree of its git repository, the same for all linked worktrees; or a bare
    /// repository.
    pub repository: Option<String>,
    pub pid: Option<u32>,
    /// Start time: RFC 3339 in UTC with milliseconds.
    pub since: Option<String>,
    pub devstack: Option<String>,
    #[serde(skip)]
    pub shown_dir: String,
    #[serde(skip)]
    pub shown_repository: Option<String>,
}

impl StackEntry {
    pub fn new(holder: Option<&InstanceRecord>, directory: &ProjectDir) -> StackEntry {
        let repository = repository(directory);
        StackEntry {
            stack: holder.map(|holder| holder.stack.clone()),
            dir: directory.path().map(|dir| dir.to_string_lossy().into_owned()),
            directory: directory.as_str(),
            repository: repository.as_ref().map(|root| root.to_string_lossy().into_owned()),
            shown_repository: repository.as_deref().map(display_home_relative),
            pid: holder.map(|holder| holder.pid),
            since: holder.and_then(since),
            devstack: holder.map(|holder| holder.devstack.clone()),
            shown_dir: shown(directory),
        }
    }

    pub fn name(&self) -> String {
        self.stack.as_deref().map_or("(starting)".to_owned(), one_line)
    }
}

pub(crate) fn say_none(err: &mut dyn Write) {
    // Only informative, so errors are ignored.
    let _ = writeln!(err, "no stacks are running for this user");
}

pub(crate) fn json_of_all<S: Serialize>(stacks: Vec<S>) -> String {
    #[derive(Serialize)]
    struct AllStacks<S> {
        version: u32,
        stacks: Vec<S>,
    }
    let all = AllStacks { version: VERSION, stacks };
    serde_json::to_string(&all).expect("stacks serialize to JSON")
}

fn repository(directory: &ProjectDir) -> Option<PathBuf> {
    match directory {
        ProjectDir::InPlace(dir) | ProjectDir::Moved(dir) => {
            GitRepository::of(dir).map(|repository| repository.root())
        }
        ProjectDir::Deleted(_) | ProjectDir::Missing(_) | ProjectDir::Unknown => None,
    }
}

fn since(holder: &InstanceRecord) -> Option<String> {
    let millis = holder.since().duration_since(UNIX_EPOCH).ok()?.as_millis();
    let since = Timestamp::from_millisecond(i64::try_from(millis).ok()?).ok()?;
    Some(format!("{since:.3}"))
}

fn shown(directory: &ProjectDir) -> String {
    match directory {
        ProjectDir::InPlace(dir) | ProjectDir::Moved(dir) => display_home_relative(dir),
        ProjectDir::Deleted(dir) => format!("{} (deleted)", display_home_relative(dir)),
        ProjectDir::Missing(dir) => format!("{} (moved or deleted)", display_home_relative(dir)),
        ProjectDir::Unknown => "-".to_owned(),
    }
}
