//! The terminal of a service over the control socket: an HTTP connection that becomes one of frames in both directions.

mod attachment;
mod event;
mod frame;
mod query;
mod session;
#[cfg(test)]
mod tests;

pub use attachment::{Attachment, Heard, Hears, Says};
pub use event::AttachEvent;
pub use query::AttachQuery;
pub(super) use session::Session;

/// What the connection becomes, as HTTP names it.
pub(super) const UPGRADE: &str = "devstack-attach";
