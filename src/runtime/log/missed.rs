use std::collections::BTreeMap;

use super::amount::Amount;
use crate::model::Name;

/// What a reader missed, by service and of status lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Missed(BTreeMap<Option<Name>, Amount>);

impl Missed {
    /// Adds what was lost of a service; `None`: of status lines.
    pub fn add(&mut self, service: Option<&Name>, lost: Amount) {
        if !lost.is_zero() {
            *self.0.entry(service.cloned()).or_default() += lost;
        }
    }

    /// Returns whether nothing was missed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns how much was missed of each service with losses; `None`: of status lines.
    pub fn iter(&self) -> impl Iterator<Item = (Option<&Name>, Amount)> {
        self.0.iter().map(|(service, lost)| (service.as_ref(), *lost))
    }

    /// Returns the sum of all losses.
    pub fn total(&self) -> Amount {
        self.0.values().fold(Amount::ZERO, |sum, lost| sum + *lost)
    }
}
