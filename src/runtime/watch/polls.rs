use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::tree::Id;

/// How often folders are looked at that the system would not watch, or does not know everything of.
const POLL: Duration = Duration::from_secs(2);

/// Looking takes at most one part in so many of one processor: a large tree is looked at less often.
const SHARE: u32 = 25;

/// When folders are looked at because no events come from them. Nothing is, as long as nothing has to be.
#[derive(Debug, Default)]
pub(super) struct Polls {
    at: Option<Instant>,
    /// Filters for which it was asked, and how often.
    forced: BTreeMap<Id, Duration>,
    took: Duration,
}

impl Polls {
    /// What the configuration asks for.
    pub fn force(&mut self, forced: impl Iterator<Item = (Id, Duration)>) {
        self.forced = forced.collect();
        self.at = None;
    }

    /// The filters whose folders are polled because the configuration says so.
    pub fn forced(&self) -> BTreeSet<Id> {
        self.forced.keys().copied().collect()
    }

    /// When to look next.
    pub fn at(&self) -> Option<Instant> {
        self.at
    }

    /// Looking has been done, and began then.
    pub fn done(&mut self, begin: Instant) {
        self.at = None;
        self.took = begin.elapsed();
    }

    /// Sets the time of the next look, or none. `needed`: some folders have to be polled.
    pub fn plan(&mut self, needed: bool) {
        let every = self.forced.values().copied().chain(needed.then_some(POLL)).min();
        self.at = every
            .map(|every| self.at.unwrap_or_else(|| Instant::now() + every.max(self.took * SHARE)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_polled_unless_it_has_to_be() {
        let mut polls = Polls::default();
        polls.plan(false);
        assert_eq!(polls.at(), None);
        polls.plan(true);
        let first = polls.at().unwrap();
        polls.plan(true);
        assert_eq!(polls.at(), Some(first), "a plan is kept");
        polls.plan(false);
        assert_eq!(polls.at(), None);
        polls.force([(3, Duration::from_millis(500))].into_iter());
        let before = Instant::now();
        polls.plan(false);
        assert!(polls.at().unwrap() < before + POLL);
        assert_eq!(polls.forced(), [3].into());
    }

    #[test]
    fn what_takes_long_is_done_less_often() {
        let mut polls = Polls::default();
        let begin = Instant::now() - Duration::from_secs(1);
        polls.done(begin);
        polls.plan(true);
        assert!(polls.at().unwrap() >= begin + Duration::from_secs(25));
    }
}
