use std::time::{Duration, Instant};

/// The pause after the last event of a single save. Editors need 0.3 to 5 ms for all the steps of one.
pub(super) const SETTLE: Duration = Duration::from_millis(10);

/// The pause when many paths changed, when a writer has not closed its file yet, and when a file came or went:
/// that is often half of a save by renaming, and the other half must not be a second change. A checkout of
/// 1,000 files has gaps of up to 15 ms; on a busy machine more.
pub(super) const SETTLE_MANY: Duration = Duration::from_millis(100);

/// More paths than this are a burst and not a save: a save touches the file, a backup and a temporary one.
pub(super) const MANY: usize = 20;

/// Changes that never pause are told after this long all the same.
pub(super) const SETTLE_CAP: Duration = Duration::from_secs(1);

/// When events that came in have settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Settle {
    /// When the first of them came.
    pub first: Instant,
    /// When the last of them came.
    pub last: Instant,
}

impl Settle {
    /// The moment at which no more events are waited for.
    pub fn due(self, quiet: Duration, paths: usize, open: bool) -> Instant {
        let long = paths > MANY || open;
        let pause = if long { quiet.max(SETTLE_MANY) } else { quiet };
        (self.last + pause).min(self.first + SETTLE_CAP.max(quiet))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_save_is_short_a_burst_is_long_and_nothing_is_endless() {
        let first = Instant::now();
        let at = |ms| first + Duration::from_millis(ms);
        let settle = |last| Settle { first, last: at(last) };
        assert_eq!(settle(0).due(SETTLE, 3, false), at(10));
        assert_eq!(settle(7).due(SETTLE, MANY, false), at(17));
        assert_eq!(settle(7).due(SETTLE, MANY + 1, false), at(107));
        assert_eq!(settle(7).due(SETTLE, 1, true), at(107));
        assert_eq!(settle(995).due(SETTLE, 1, false), at(1000));
        assert_eq!(settle(995).due(Duration::from_secs(2), 1, false), at(2000));
    }
}
