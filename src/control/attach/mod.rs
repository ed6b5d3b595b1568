//! The terminal of a service over an upgraded HTTP connection with frames in both directions.

mod attachment;
mod event;
mod frame;
mod query;
mod session;
#[cfg(test)]
mod tests;

pub use attachment::{AttachConnection, AttachMessage, AttachReader, AttachWriter};
pub use event::AttachEvent;
pub use query::AttachQuery;
pub(super) use session::AttachSession;

/// Value of the HTTP `Upgrade` header.
pub(super) const UPGRADE: &str = "devstack-attach";
