use std::time::{Duration, Instant};

/// Quiet period after one complete save: just long enough to see whether it is the only one. A
/// program that writes several files has started the next by then, or does so while the old process
/// stops, which delays the start of the new one.
pub(super) const SETTLE_ONE: Duration = Duration::from_micros(100);

/// Quiet period after a save that may be incomplete, and after a second one of the same file.
/// Editors need 0.3 to 5 ms for all steps of a save.
pub(crate) const SETTLE: Duration = Duration::from_millis(10);

/// Quiet period between the files of a command that starts a program or syncs to disk for each.
pub(super) const SETTLE_SEVERAL: Duration = Duration::from_millis(25);

/// Quiet period when many paths changed, when a file was created or removed, and right after other
/// changes: this is often half of a save by rename, or of a burst, and the rest must not be a
/// second change. A checkout of 1,000 files has gaps of up to 15 ms, or more on a busy machine.
pub(super) const SETTLE_MANY: Duration = Duration::from_millis(100);

/// More paths than this are a burst: a save touches the file, a backup and a temporary file.
pub(super) const MANY: usize = 20;

/// Changes that never pause are reported after this long. A file that stays open or empty is waited
/// for as long.
pub(super) const SETTLE_CAP: Duration = Duration::from_secs(1);

/// A burst that continues after a report gets twice the time, repeatedly, up to this.
pub(super) const SETTLE_CAP_MAX: Duration = Duration::from_secs(4);

/// What the events look like so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BurstKind {
    /// One complete save after quiet.
    One,
    /// One save, perhaps incomplete.
    Save,
    Several,
    /// Many files, or half a save.
    Burst,
    /// A writer that has not finished.
    Open,
}

impl BurstKind {
    /// How long no events may come. `quiet`: the configured period for a save.
    pub fn quiet_period(self, quiet: Duration) -> Duration {
        match self {
            BurstKind::One => SETTLE_ONE.min(quiet),
            BurstKind::Save => quiet,
            BurstKind::Several => quiet.max(SETTLE_SEVERAL),
            BurstKind::Burst => quiet.max(SETTLE_MANY),
            BurstKind::Open => quiet.max(SETTLE_CAP),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EventWindow {
    pub first: Instant,
    pub last: Instant,
}

impl EventWindow {
    /// When to stop waiting for more events.
    pub fn due(self, pause: Duration, cap: Duration) -> Instant {
        (self.last + pause).min(self.first + cap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_endless() {
        let first = Instant::now();
        let at = |ms| first + Duration::from_millis(ms);
        let settle = EventWindow { first, last: at(995) };
        assert_eq!(settle.due(SETTLE, SETTLE_CAP), at(1_000));
        assert_eq!(settle.due(SETTLE_ONE, SETTLE_CAP), at(995) + SETTLE_ONE);
    }

    #[test]
    fn longer_quiet_periods_are_kept() {
        let quiet = Duration::from_millis(300);
        assert_eq!(BurstKind::Save.quiet_period(quiet), quiet);
        assert_eq!(BurstKind::Burst.quiet_period(quiet), quiet);
        assert_eq!(BurstKind::One.quiet_period(Duration::ZERO), Duration::ZERO);
        assert_eq!(BurstKind::Burst.quiet_period(Duration::ZERO), SETTLE_MANY);
    }
}
