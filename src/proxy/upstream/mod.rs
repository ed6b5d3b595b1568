//! One run of a service as a destination of requests, with its connections.

mod upstream;
mod upstream_connection;

pub(super) use upstream::{InFlight, Upstream};
