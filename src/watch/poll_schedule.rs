use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::tree::FilterId;

/// How often to poll directories that cannot be watched or do not send all events.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// Polling takes at most one part in this many of a CPU: large trees are polled less often.
const MAX_CPU_SHARE: u32 = 25;

/// When to poll directories that send no events.
#[derive(Debug, Default)]
pub(super) struct PollSchedule {
    at: Option<Instant>,
    /// Filters with a configured interval.
    forced: BTreeMap<FilterId, Duration>,
    took: Duration,
}

impl PollSchedule {
    pub fn set_configured(&mut self, forced: impl Iterator<Item = (FilterId, Duration)>) {
        self.forced = forced.collect();
        self.at = None;
    }

    /// Filters with directories polled because the configuration asks for it.
    pub fn forced(&self) -> BTreeSet<FilterId> {
        self.forced.keys().copied().collect()
    }

    pub fn at(&self) -> Option<Instant> {
        self.at
    }

    /// Notes that a poll has finished, and when it started.
    pub fn done(&mut self, begin: Instant) {
        self.at = None;
        self.took = begin.elapsed();
    }

    /// Schedules the next poll, if any. `needed`: some directories have to be polled.
    pub fn plan(&mut self, needed: bool) {
        let every = self.forced.values().copied().chain(needed.then_some(POLL_INTERVAL)).min();
        self.at = every.map(|every| {
            self.at.unwrap_or_else(|| Instant::now() + every.max(self.took * MAX_CPU_SHARE))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_polled_unless_it_has_to_be() {
        let mut polls = PollSchedule::default();
        polls.plan(false);
        assert_eq!(polls.at(), None);
        polls.plan(true);
        let first = polls.at().unwrap();
        polls.plan(true);
        assert_eq!(polls.at(), Some(first), "the schedule is kept");
        polls.plan(false);
        assert_eq!(polls.at(), None);
        polls.set_configured([(3, Duration::from_millis(500))].into_iter());
        let before = Instant::now();
        polls.plan(false);
        assert!(polls.at().unwrap() < before + POLL_INTERVAL);
        assert_eq!(polls.forced(), [3].into());
    }

    #[test]
    fn what_takes_long_is_done_less_often() {
        let mut polls = PollSchedule::default();
        let begin = Instant::now() - Duration::from_secs(1);
        polls.done(begin);
        polls.plan(true);
        assert!(polls.at().unwrap() >= begin + Duration::from_secs(25));
    }
}
