use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::sync::watch;

use super::FeedTap;
use super::feed_tap::lock;
use super::ring::Ring;
use crate::model::{Event, EventView};

/// Publishes events of the supervisor. Readers end when it is dropped.
pub struct Teller {
    ring: Arc<Mutex<Ring>>,
    newest: watch::Sender<u64>,
}

impl Teller {
    /// Creates an empty feed.
    pub fn new() -> Teller {
        Teller { ring: Arc::default(), newest: watch::Sender::new(0) }
    }

    /// Creates a subscriber.
    pub fn tap(&self) -> FeedTap {
        FeedTap { ring: self.ring.clone(), newest: self.newest.subscribe() }
    }

    /// Returns the number of the last event; 0 before the first.
    pub fn newest(&self) -> u64 {
        lock(&self.ring).newest()
    }

    /// Publishes an event; never waits for subscribers.
    pub fn tell(&self, at: String, event: &Event) {
        let mut ring = lock(&self.ring);
        let view = EventView::new(ring.newest() + 1, at, event);
        let mut line = serde_json::to_vec(&view).expect("an event is plain data with string keys");
        line.push(b'\n');
        ring.push(Bytes::from(line));
        let newest = ring.newest();
        drop(ring);
        self.newest.send_replace(newest);
    }
}

impl Default for Teller {
    fn default() -> Teller {
        Teller::new()
    }
}
