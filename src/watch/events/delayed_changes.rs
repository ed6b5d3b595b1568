use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::quiet_period::{EventWindow, SETTLE_CAP};
use crate::model::WatchId;

/// Changes delayed for services with a longer quiet period than the others.
#[derive(Debug, Default)]
pub(crate) struct DelayedChanges(BTreeMap<WatchId, DelayedChange>);

#[derive(Debug)]
struct DelayedChange {
    path: PathBuf,
    settle: EventWindow,
    quiet: Duration,
}

impl DelayedChange {
    fn due(&self) -> Instant {
        self.settle.due(self.quiet, SETTLE_CAP.max(self.quiet))
    }
}

impl DelayedChanges {
    /// Delays a change whose last event was at `last`.
    pub fn add(&mut self, name: WatchId, path: PathBuf, last: Instant, quiet: Duration) {
        let settle = EventWindow { first: last, last };
        let held = self.0.entry(name).or_insert(DelayedChange { path, settle, quiet });
        held.settle.last = last;
        held.quiet = quiet;
    }

    pub fn due(&self) -> Option<Instant> {
        self.0.values().map(DelayedChange::due).min()
    }

    /// Takes those that are due.
    pub fn take(&mut self, now: Instant) -> BTreeMap<WatchId, PathBuf> {
        let (due, later) =
            std::mem::take(&mut self.0).into_iter().partition(|(_, held)| held.due() <= now);
        self.0 = later;
        let due: BTreeMap<WatchId, DelayedChange> = due;
        due.into_iter().map(|(name, held)| (name, held.path)).collect()
    }

    /// Drops changes of services that are no longer watched.
    pub fn retain(&mut self, keep: impl Fn(&WatchId) -> bool) {
        self.0.retain(|name, _| keep(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_change_waits_for_its_own_pause_and_keeps_its_first_file() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let name = WatchId::first(crate::model::Name::new("api").unwrap());
        let quiet = Duration::from_millis(300);
        let mut holds = DelayedChanges::default();
        holds.add(name.clone(), "/a".into(), at(0), quiet);
        holds.add(name.clone(), "/b".into(), at(200), quiet);
        assert_eq!(holds.due(), Some(at(500)));
        assert!(holds.take(at(499)).is_empty());
        assert_eq!(holds.take(at(500)), BTreeMap::from([(name, PathBuf::from("/a"))]));
        assert_eq!(holds.due(), None);
    }
}
