use std::time::{Duration, Instant};

/// The pause after one whole save. Nothing is waited for but the sign that it was not the only one: who writes
/// several files in a row has begun the next by then, or does so while the old process stops, which holds
/// the start of the new one.
pub(super) const SETTLE_ONE: Duration = Duration::from_micros(100);

/// The pause after a save that is not plainly whole, and after a second one of the same file. Editors need 0.3 to
/// 5 ms for all the steps of one.
pub(super) const SETTLE: Duration = Duration::from_millis(10);

/// The pause between the files of one command that starts a program or syncs to the disk for each.
pub(super) const SETTLE_SEVERAL: Duration = Duration::from_millis(25);

/// The pause when many paths changed, when a file came or went, and when other files changed just before: that is often
/// half of a save by renaming, or of a burst, and the other half must not be a second change. A checkout
/// of 1,000 files has gaps of up to 15 ms; on a busy machine more.
pub(super) const SETTLE_MANY: Duration = Duration::from_millis(100);

/// More paths than this are a burst and not a save: a save touches the file, a backup and a temporary one.
pub(super) const MANY: usize = 20;

/// Changes that never pause are told after this long all the same; and so long is waited for whoever keeps a
/// file open, or has emptied it.
pub(super) const SETTLE_CAP: Duration = Duration::from_secs(1);

/// A burst that goes on after it was told is given twice the time, again and again, up to this.
pub(super) const SETTLE_CAP_MAX: Duration = Duration::from_secs(4);

/// What events look like so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// One whole save after quiet.
    One,
    /// One save, perhaps with more steps to come.
    Save,
    /// A few files.
    Several,
    /// Many files, or half a save.
    Burst,
    /// A writer that has not finished.
    Open,
}

impl Pace {
    /// How long nothing may have come. `quiet`: the same for a save, as it is configured.
    pub fn pause(self, quiet: Duration) -> Duration {
        match self {
            Pace::One => SETTLE_ONE.min(quiet),
            Pace::Save => quiet,
            Pace::Several => quiet.max(SETTLE_SEVERAL),
            Pace::Burst => quiet.max(SETTLE_MANY),
            Pace::Open => quiet.max(SETTLE_CAP),
        }
    }
}

/// When events came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Settle {
    /// When the first of them came.
    pub first: Instant,
    /// When the last of them came.
    pub last: Instant,
}

impl Settle {
    /// The moment at which no more events are waited for.
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
        let settle = Settle { first, last: at(995) };
        assert_eq!(settle.due(SETTLE, SETTLE_CAP), at(1_000));
        assert_eq!(settle.due(SETTLE_ONE, SETTLE_CAP), at(995) + SETTLE_ONE);
    }

    #[test]
    fn who_wants_a_longer_pause_gets_it() {
        let quiet = Duration::from_millis(300);
        assert_eq!(Pace::Save.pause(quiet), quiet);
        assert_eq!(Pace::Burst.pause(quiet), quiet);
        assert_eq!(Pace::One.pause(Duration::ZERO), Duration::ZERO);
        assert_eq!(Pace::Burst.pause(Duration::ZERO), SETTLE_MANY);
    }
}
