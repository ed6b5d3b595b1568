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

pub use abandoned::CrashedInstance;
pub use attach::{
    AttachConnection, AttachEvent, AttachMessage, AttachQuery, AttachReader, AttachWriter,
};
pub use client::ControlClient;
pub use failure::ClientError;
pub use find_services::{exactly_one, find_services};
pub use folder::ProjectDir;
pub use holder::InstanceRecord;
pub use instance::{AlreadyRunning, ClaimError, InstanceLock, RunningInstance};
pub use lines::LineStream;
pub use located::LocatedInstance;
pub use log_query::LogQuery;
pub use log_source::{LogBodyReader, LogSource, missed_items, ndjson};
pub use pattern::LogPattern;
pub use places::{existing_runtime_dir, existing_state_dir, runtime_dir, state_dir};
pub use protocol::{LogItem, LogLineView, PROTOCOL, VersionResponse, WaitFor};
pub use server::serve;
