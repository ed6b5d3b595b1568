use std::time::UNIX_EPOCH;

use jiff::Timestamp;
use serde::Serialize;

use super::complain::printable;
use crate::control::{Folder, Holder};
use crate::ports::show_folder;

/// Which stack something is about, among all stacks of this user. Fields may be added, never renamed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct StackEntry {
    /// Its name; `None` in the moment it starts, as with most of the rest.
    pub stack: Option<String>,
    /// Its folder as it is called now, or was last.
    pub dir: Option<String>,
    /// `there`, `moved`, `deleted`, `gone` (one of both) or `unknown`.
    pub folder: &'static str,
    /// The process id of its devstack.
    pub pid: Option<u32>,
    /// When it was started: RFC 3339 in UTC with milliseconds.
    pub since: Option<String>,
    /// The version of its devstack.
    pub devstack: Option<String>,
    /// The folder as people read it.
    #[serde(skip)]
    pub shown_dir: String,
}

impl StackEntry {
    pub fn new(holder: Option<&Holder>, folder: &Folder) -> StackEntry {
        StackEntry {
            stack: holder.map(|holder| holder.stack.clone()),
            dir: folder.path().map(|dir| dir.to_string_lossy().into_owned()),
            folder: folder.as_str(),
            pid: holder.map(|holder| holder.pid),
            since: holder.and_then(since),
            devstack: holder.map(|holder| holder.devstack.clone()),
            shown_dir: shown(folder),
        }
    }

    /// The name for people.
    pub fn name(&self) -> String {
        self.stack.as_deref().map_or("(starting)".to_owned(), printable)
    }
}

fn since(holder: &Holder) -> Option<String> {
    let millis = holder.since().duration_since(UNIX_EPOCH).ok()?.as_millis();
    let since = Timestamp::from_millisecond(i64::try_from(millis).ok()?).ok()?;
    Some(format!("{since:.3}"))
}

fn shown(folder: &Folder) -> String {
    match folder {
        Folder::There(dir) | Folder::Moved(dir) => show_folder(dir),
        Folder::Deleted(dir) => format!("{} (deleted)", show_folder(dir)),
        Folder::Gone(dir) => format!("{} (moved or deleted)", show_folder(dir)),
        Folder::Untold => "-".to_owned(),
    }
}
