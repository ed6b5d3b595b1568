use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::sync::watch;

use super::event_ring::{EventRing, FeedPage};
use crate::sync::lock_unpoisoned;

/// Gives access to the events of a stack. Cheap to clone.
#[derive(Clone)]
pub struct FeedSubscriber {
    pub(super) ring: Arc<Mutex<EventRing>>,
    pub(super) newest: watch::Receiver<u64>,
}

impl FeedSubscriber {
    /// Number of the last event; 0 before the first.
    pub(super) fn newest(&self) -> u64 {
        lock_unpoisoned(&self.ring).newest()
    }

    /// Returns the events that are kept after the number that `after` chooses, given those of the
    /// oldest and newest one; and that of the newest.
    pub fn kept(&self, after: impl FnOnce(u64, u64) -> u64) -> (Vec<Bytes>, u64) {
        let ring = lock_unpoisoned(&self.ring);
        let (oldest, newest) = (ring.oldest(), ring.newest());
        (ring.kept_after(after(oldest, newest)), newest)
    }

    /// Waits for the events after this number. `None`: there will be no more.
    pub(super) async fn after(&mut self, number: u64) -> Option<FeedPage> {
        loop {
            let page = lock_unpoisoned(&self.ring).after(number);
            if page != FeedPage::None {
                return Some(page);
            }
            self.newest.wait_for(|newest| *newest > number).await.ok()?;
        }
    }
}
