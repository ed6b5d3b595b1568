//! The supervisor's clock.

use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;

use crate::engine::EngineTime;

/// A monotonic clock for decisions, with the date at its start for display. Dates are derived from
/// the monotonic time, so they never run backwards.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
    date: SystemTime,
}

impl Clock {
    /// Starts the clock now.
    pub fn start() -> Clock {
        Clock { start: Instant::now(), date: SystemTime::now() }
    }

    /// Returns the time since the start.
    pub fn now(&self) -> EngineTime {
        self.start.elapsed()
    }

    /// Converts a deadline of the engine to an instant to sleep until.
    pub fn instant(&self, at: EngineTime) -> Instant {
        self.start + at
    }

    /// Formats as RFC 3339 in UTC with milliseconds: `2026-11-20T09:00:00.120Z`.
    pub fn timestamp(&self, at: EngineTime) -> String {
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
        assert_eq!(clock.timestamp(Duration::from_millis(120)), "2026-11-23T09:00:00.120Z");
        assert_eq!(clock.timestamp(Duration::ZERO), "2026-11-23T09:00:00.000Z");
    }
}
