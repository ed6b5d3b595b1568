//! One stack per directory, and how other terminals talk to it.
//!
//! [`InstanceLock`] ensures that a directory has at most one devstack, and locates its socket.
//! [`serve`] answers on that socket for a
//! [`SupervisorHandle`](crate::supervisor::SupervisorHandle); [`ControlClient`] sends requests. The
//! protocol is described in `docs/protocol.md`.

mod abandoned;
mod attach;
mod client;
#[cfg(test)]
mod client_tests;
mod connection;
#[cfg(test)]
mod event_tests;
mod failure;
#[cfg(test)]
pub(crate) mod fake;
mod find_services;
mod folder;
mod holder;
mod instance;
#[cfg(test)]
mod instance_tests;
mod limits;
mod line_reader;
mod lines;
mod live_log;
mod located;
#[cfg(test)]
mod located_tests;
mod locks;
mod log_body;
mod log_query;
mod log_source;
mod pattern;
mod places;
#[cfg(target_os = "linux")]
#[path = "linux.rs"]
mod platform;
#[cfg(target_os = "macos")]
#[path = "macos.rs"]
mod platform;
mod protocol;
mod routes;
mod server;
#[cfg(test)]
mod server_tests;
mod service_query;
mod spare;
mod upgraded;
mod url_text;

pub use abandoned::Abandoned;
pub use attach::{AttachEvent, AttachQuery, Attachment, Heard, Hears, Says};
pub use client::Client;
pub use failure::Failure;
pub use find_services::{find_services, only_one};
pub use folder::Folder;
pub use holder::Holder;
pub use instance::{Busy, ClaimError, Found, Instance};
pub use lines::Lines;
pub use located::Located;
pub use log_query::LogQuery;
pub use log_source::{LogReader, LogSource, lost, ndjson};
pub use pattern::Pattern;
pub use places::{existing_runtime_dir, existing_state_dir, runtime_dir, state_dir};
pub use protocol::{LogItem, LogLine, PROTOCOL, Version, WaitFor};
pub use server::serve;
