use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::ring::{Page, Ring};

/// Where the events of a stack can be read. Cheap to clone.
#[derive(Clone)]
pub struct FeedTap {
    pub(super) ring: Arc<Mutex<Ring>>,
    pub(super) newest: watch::Receiver<u64>,
}

impl FeedTap {
    /// The number of the last event; 0 before the first.
    pub(super) fn newest(&self) -> u64 {
        lock(&self.ring).newest()
    }

    /// What comes after the event with this number; waits for it. `None`: nothing will.
    pub(super) async fn after(&mut self, number: u64) -> Option<Page> {
        loop {
            let page = lock(&self.ring).after(number);
            if page != Page::None {
                return Some(page);
            }
            self.newest.wait_for(|newest| *newest > number).await.ok()?;
        }
    }
}

/// A push is made of steps that do not panic, so a poisoned ring is a sound one.
pub(super) fn lock(ring: &Mutex<Ring>) -> MutexGuard<'_, Ring> {
    ring.lock().unwrap_or_else(PoisonError::into_inner)
}
