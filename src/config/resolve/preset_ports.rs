//! Services that have the same default port from their presets.

use std::collections::BTreeSet;

use crate::config::spec::StackSpec;

/// Spreads such services over different numbers, because no user wrote the conflict. Explicit
/// numbers stay; the others count up in the order of names.
pub(super) fn spread_preset_ports(spec: &mut StackSpec) {
    let all = || spec.services.values().flat_map(|service| &service.ports);
    let mut taken: BTreeSet<u16> =
        all().filter(|port| port.preset.is_none()).filter_map(|port| port.preferred).collect();
    let usual = spec.services.values_mut().flat_map(|service| &mut service.ports);
    for port in usual.filter(|port| port.preset.is_some()) {
        let Some(first) = port.preferred else { continue };
        port.preferred = (first..=u16::MAX).find(|number| taken.insert(*number));
    }
}
