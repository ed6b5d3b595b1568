//! Tests of the control socket against a fake supervisor.

mod attach;
mod client;
mod events;
pub(crate) mod fake;
mod instance;
mod located;
mod server;

pub use fake::{Rig, line, name, print, snapshot, stored_log, until_readers, why};
