//! What happened: numbered events in a bounded ring, which readers follow at their own speed.
//!
//! The supervisor tells each event once and waits for nobody. A reader asks the supervisor for a snapshot, which
//! names the last event it contains, and goes on in the ring behind it; so nothing is seen twice or not at all. Who
//! reads so slowly that the ring has moved on is told how many events it missed, and gets another snapshot.

mod events;
mod feed_tap;
mod ring;
mod teller;

pub use events::Events;
pub use feed_tap::FeedTap;
pub use teller::Teller;
