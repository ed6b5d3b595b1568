//! Numbered events in a bounded ring, for subscribers at their own speed. A reader gets a snapshot with the
//! number of the last event before it, and continues from there.

mod event_feed;
mod event_ring;
mod feed_reader;
mod feed_subscriber;

pub use event_feed::EventFeed;
pub use feed_reader::FeedReader;
pub use feed_subscriber::FeedSubscriber;
