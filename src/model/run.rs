use std::fmt;

use serde::{Deserialize, Serialize};

/// One life of one service, from spawn to the end of its last process. Never used twice within
/// the life of a supervisor, so that a late report about an earlier run matches nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Run(pub u64);

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}
