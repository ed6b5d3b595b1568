use std::collections::BTreeMap;

use super::log_size::LogSize;
use crate::model::Name;

/// What a reader missed, by service and of status lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MissedLines(BTreeMap<Option<Name>, LogSize>);

impl MissedLines {
    /// Adds what was lost of a service; `None`: of status lines.
    pub fn add(&mut self, service: Option<&Name>, lost: LogSize) {
        if !lost.is_zero() {
            *self.0.entry(service.cloned()).or_default() += lost;
        }
    }

    /// Returns whether nothing was missed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Removes and returns what was missed of one service.
    pub(super) fn pop(&mut self) -> Option<(Option<Name>, LogSize)> {
        self.0.pop_first()
    }

    /// Returns the sum of all losses.
    pub fn total(&self) -> LogSize {
        self.0.values().fold(LogSize::ZERO, |sum, lost| sum + *lost)
    }
}
