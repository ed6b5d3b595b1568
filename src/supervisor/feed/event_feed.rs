use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use super::FeedSubscriber;
use super::event_ring::EventRing;
use crate::model::{Event, EventView};
use crate::sync::lock_unpoisoned;

/// Publishes events of the supervisor. Readers end when it is dropped.
pub struct EventFeed {
    ring: Arc<Mutex<EventRing>>,
    newest: watch::Sender<u64>,
}

impl EventFeed {
    /// Creates an empty feed.
    pub fn new() -> EventFeed {
        EventFeed { ring: Arc::default(), newest: watch::Sender::new(0) }
    }

    pub fn subscribe(&self) -> FeedSubscriber {
        FeedSubscriber { ring: self.ring.clone(), newest: self.newest.subscribe() }
    }

    /// Returns the number of the last event; 0 before the first.
    pub fn newest(&self) -> u64 {
        lock_unpoisoned(&self.ring).newest()
    }

    /// Publishes an event; never waits for subscribers.
    pub fn publish(&self, at: String, event: &Event) {
        let mut ring = lock_unpoisoned(&self.ring);
        let view = EventView::new(ring.newest() + 1, at, event);
        let mut line = serde_json::to_vec(&view).expect("an event is plain data with string keys");
        line.push(b'\n');
        ring.push(&line);
        let newest = ring.newest();
        drop(ring);
        self.newest.send_replace(newest);
    }
}

impl Default for EventFeed {
    fn default() -> EventFeed {
        EventFeed::new()
    }
}
