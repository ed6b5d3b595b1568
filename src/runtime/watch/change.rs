use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::model::{Message, Watched};

/// What the watcher saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Files of these watches changed; with each, the file whose event came first.
    Services(BTreeMap<Watched, PathBuf>),
    /// These configuration or environment files changed, appeared or went, as they were given.
    Config(BTreeSet<PathBuf>),
    /// Whether files go on changing after a change was told. Ends always, at the latest with the next change.
    More(bool),
    /// Not everything can be watched as asked; told once until it is mended.
    Degraded(Message),
}
