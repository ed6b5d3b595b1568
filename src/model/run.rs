use std::fmt;

use serde::{Deserialize, Serialize};

/// Number of one run of a service, from spawn to the exit of its last process. Never reused while a
/// supervisor lives, so a late report about an earlier run matches nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub u64);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}
