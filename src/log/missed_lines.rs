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

    /// Returns how much was missed of each service with losses; `None`: of status lines.
    pub fn iter(&self) -> impl Iterator<Item = (Option<&Name>, LogSize)> {
        self.0.iter().map(|(service, lost)| (service.as_ref(), *lost))
    }

    /// Returns the sum of all losses.
    pub fn total(&self) -> LogSize {
        self.0.values().fold(LogSize::ZERO, |sum, lost| sum + *lost)
    }
}
