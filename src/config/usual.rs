//! Usual ports that several services have.

use std::collections::BTreeSet;

use super::spec::StackSpec;

/// Gives services of one preset different ports: nobody wrote the same number twice, so it is no mistake. Numbers that
/// were written stay; the rest go upward from the usual one, in the order of names.
pub(super) fn part(spec: &mut StackSpec) {
    let all = || spec.services.values().flat_map(|service| &service.ports);
    let mut taken: BTreeSet<u16> =
        all().filter(|port| port.preset.is_none()).filter_map(|port| port.prefer).collect();
    let usual = spec.services.values_mut().flat_map(|service| &mut service.ports);
    for port in usual.filter(|port| port.preset.is_some()) {
        let Some(first) = port.prefer else { continue };
        port.prefer = (first..=u16::MAX).find(|number| taken.insert(*number));
    }
}
