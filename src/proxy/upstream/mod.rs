//! One run of a service as a destination of requests, with its connections.

mod service_body;
mod upstream;
mod upstream_connection;

pub(super) use service_body::ServiceBody;
pub(super) use upstream::{InFlight, Upstream};
