//! Numbered events in a bounded ring, for subscribers at their own speed.
//!
//! The supervisor publishes each event once and never waits. A reader requests a snapshot, which
//! contains the number of the last event before it, and continues in the ring from there, so no
//! event is missed or read twice. A reader that falls behind the ring learns how many events it
//! missed, and gets another snapshot.

mod event_feed;
mod event_ring;
mod feed_reader;
mod feed_subscriber;

pub use event_feed::EventFeed;
pub use feed_reader::FeedReader;
pub use feed_subscriber::FeedSubscriber;
