//! The two clocks of a supervisor.

use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;

use crate::engine::Time;

/// The two clocks of a supervisor: one that never jumps, for decisions, and the date at its start,
/// for people. Dates are derived from the first, so that they never run backwards.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
    date: SystemTime,
}

impl Clock {
    /// Starts now.
    pub fn start() -> Clock {
        Clock { start: Instant::now(), date: SystemTime::now() }
    }

    /// Time since the start.
    pub fn now(&self) -> Time {
        self.start.elapsed()
    }

    /// The moment to sleep until for a deadline of the engine.
    pub fn instant(&self, at: Time) -> Instant {
        self.start + at
    }

    /// RFC 3339 in UTC with milliseconds: `2026-11-20T09:00:00.120Z`.
    pub fn date(&self, at: Time) -> String {
        let date = Timestamp::try_from(self.date + at).unwrap_or(Timestamp::MAX);
        let millis = Duration::from_millis(date.as_millisecond().unsigned_abs());
        let date = Timestamp::from_millisecond(millis.as_millis() as i64).unwrap_or(Timestamp::MAX);
        format!("{date:.3}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_have_milliseconds_and_the_z() {
        let date = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_424_400_000);
        let clock = Clock { start: Instant::now(), date };
        assert_eq!(clock.date(Duration::from_millis(120)), "2026-11-23T09:00:00.120Z");
        assert_eq!(clock.date(Duration::ZERO), "2026-11-23T09:00:00.000Z");
    }
}
