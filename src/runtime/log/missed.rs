use std::collections::BTreeMap;

use super::amount::Amount;
use crate::model::Name;

/// What is lost to somebody who reads, by service, and of what devstack says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Missed(BTreeMap<Option<Name>, Amount>);

impl Missed {
    /// Counts what is lost of a service, if it is anything; `None`: of what devstack says.
    pub fn add(&mut self, service: Option<&Name>, lost: Amount) {
        if !lost.is_zero() {
            *self.0.entry(service.cloned()).or_default() += lost;
        }
    }

    /// Whether nothing is lost.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How much is lost of each service that lost something; `None`: of what devstack says.
    pub fn iter(&self) -> impl Iterator<Item = (Option<&Name>, Amount)> {
        self.0.iter().map(|(service, lost)| (service.as_ref(), *lost))
    }

    /// How much that is together.
    pub fn total(&self) -> Amount {
        self.0.values().fold(Amount::ZERO, |sum, lost| sum + *lost)
    }
}
