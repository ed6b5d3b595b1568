use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::model::{Message, WatchId};

/// What the watcher reports to the supervisor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchReport {
    /// Files of these watches changed; each with the file whose event came first.
    Services(BTreeMap<WatchId, PathBuf>),
    /// These configuration or environment files changed, appeared or disappeared; paths as given.
    Config(BTreeSet<PathBuf>),
    /// Whether more files are changing after a reported change. Always becomes `false` again, at
    /// the latest with the next change.
    StillChanging(bool),
    /// Not everything can be watched as asked; reported once until it is fixed.
    Degraded(Message),
}
