use std::ops::RangeInclusive;

use super::well_known;

/// Which ports devstack may assign on this machine without a request for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedPorts {
    /// The range of ports that the kernel chooses from.
    ephemeral: RangeInclusive<u16>,
    /// Whether that range is avoided. Not if it would leave too few ports.
    avoided: bool,
    auto_range: RangeInclusive<u16>,
}

/// Lower ports are privileged on most systems and belong to standard services.
pub const FIRST_UNPRIVILEGED: u16 = 1024;

/// The preferred range of `auto`: above the ports that programs commonly use.
const AUTO: RangeInclusive<u16> = 20_000..=32_767;

/// The range of `auto` if the ephemeral range starts low.
const AUTO_LOWER: RangeInclusive<u16> = 10_000..=19_999;

/// A smaller range would be used up by a few worktrees of large stacks.
const FEWEST: u16 = 2_000;

impl AllowedPorts {
    /// Creates the limits for an ephemeral range from `first` to `last`.
    pub fn new(first: u16, last: u16) -> AllowedPorts {
        let ephemeral = first..=last;
        let wide = |range: &RangeInclusive<u16>| {
            range.end() > range.start() && range.end() - range.start() >= FEWEST
        };
        let below = first.saturating_sub(1);
        let candidates = [
            *AUTO.start()..=below.min(*AUTO.end()),
            *AUTO_LOWER.start()..=below.min(*AUTO_LOWER.end()),
            last.saturating_add(1)..=u16::MAX,
        ];
        let outside = |range: &RangeInclusive<u16>| *range.end() < first || *range.start() > last;
        match candidates.into_iter().find(|range| wide(range) && outside(range)) {
            Some(auto) => AllowedPorts { ephemeral, avoided: true, auto_range: auto },
            None => AllowedPorts { ephemeral, avoided: false, auto_range: AUTO },
        }
    }

    /// Whether the kernel may choose `port` for a program that leaves the choice to it.
    pub fn is_ephemeral(&self, port: u16) -> bool {
        self.ephemeral.contains(&port)
    }

    /// Returns the range of ports that the kernel chooses from.
    pub fn ephemeral(&self) -> &RangeInclusive<u16> {
        &self.ephemeral
    }

    /// Returns the range of `auto`; never empty.
    pub fn auto_range(&self) -> RangeInclusive<u16> {
        self.auto_range.clone()
    }

    /// Whether `port` may be assigned without a request for it.
    pub fn is_allowed(&self, port: u16) -> bool {
        port >= FIRST_UNPRIVILEGED
            && !well_known::blocked_by_browsers(port)
            && !(self.avoided && self.is_ephemeral(port))
    }
}

#[cfg(test)]
mod tests {
    use super::AllowedPorts;

    #[test]
    fn auto_keeps_out_of_the_ephemeral_range_where_that_leaves_room() {
        for (first, last, auto) in [
            (32_768, 60_999, 20_000..=32_767),
            (49_152, 65_535, 20_000..=32_767),
            (25_000, 65_535, 20_000..=24_999),
            (15_000, 65_535, 10_000..=14_999),
            (10_000, 60_000, 60_001..=65_535),
        ] {
            let limits = AllowedPorts::new(first, last);
            assert_eq!(limits.auto_range(), auto);
            assert!(!limits.is_allowed(first) && !limits.is_allowed(last));
            assert!(limits.is_allowed(*auto.start()) && limits.is_allowed(*auto.end()));
        }
    }

    #[test]
    fn an_ephemeral_range_of_everything_switches_the_rule_off() {
        for (first, last) in [(1024, 65_535), (9_000, 65_535), (1, u16::MAX)] {
            let limits = AllowedPorts::new(first, last);
            assert_eq!(limits.auto_range(), 20_000..=32_767);
            assert!(limits.is_allowed(40_000));
            assert!(!limits.is_allowed(1023) && !limits.is_allowed(6000));
        }
    }

    #[test]
    fn nonsense_from_the_system_gives_a_usable_range() {
        for (first, last) in [(0, 0), (65_535, 0), (60_000, 50_000)] {
            assert!(!AllowedPorts::new(first, last).auto_range().is_empty());
        }
    }
}
