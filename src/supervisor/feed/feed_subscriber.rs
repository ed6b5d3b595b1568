use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::event_ring::{EventRing, FeedPage};

/// Gives access to the events of a stack. Cheap to clone.
#[derive(Clone)]
pub struct FeedSubscriber {
    pub(super) ring: Arc<Mutex<EventRing>>,
    pub(super) newest: watch::Receiver<u64>,
}

impl FeedSubscriber {
    /// Number of the last event; 0 before the first.
    pub(super) fn newest(&self) -> u64 {
        lock(&self.ring).newest()
    }

    /// Waits for the events after this number. `None`: there will be no more.
    pub(super) async fn after(&mut self, number: u64) -> Option<FeedPage> {
        loop {
            let page = lock(&self.ring).after(number);
            if page != FeedPage::None {
                return Some(page);
            }
            self.newest.wait_for(|newest| *newest > number).await.ok()?;
        }
    }
}

/// Pushing cannot panic halfway, so a poisoned ring is intact.
pub(super) fn lock(ring: &Mutex<EventRing>) -> MutexGuard<'_, EventRing> {
    ring.lock().unwrap_or_else(PoisonError::into_inner)
}
