//! The front door: one address per service that never changes, and requests that wait.
//!
//! A request is routed by its `Host` ([`RouteTable`]), waits while the service is on its way, goes to
//! one of its ready replicas and is streamed in both directions. [`Proxy`] keeps what outlives a
//! request: the upstreams with their connections, one for each run, and how many requests wait.
//!
//! ```text
//!  Snapshots ─► RouteTable ─► watch ─► Proxy ◄─ connections
//!                                        │
//!                  exchange: find ─► wait ─► choose ─► send ─► stream
//! ```
//!
//! Routes may be a few milliseconds late. A connection that is refused or dies before the response
//! therefore means: wait for better routes, then try again, unless the service may have processed the
//! request. HTTP is parsed and framed by hyper alone.

mod balance;
mod client;
mod exchange;
mod exchange_record;
mod exchange_ring;
mod forward;
mod forward_request;
mod headers;
mod host_name;
mod own_page;
mod proxy_server;
mod recorded_headers;
mod recording;
mod refusal;
mod request_body;
mod response_body;
mod route;
mod route_table;
mod shared_stream;
mod traffic;
mod tunnel;
mod upstream;

#[cfg(test)]
mod tests;

pub use exchange_record::{ExchangeEnd, ExchangeRecord, HIDDEN, RecordedMessage};
pub use exchange_ring::ExchangeRing;
#[cfg(fuzzing)]
pub(crate) use headers::fuzz as fuzz_headers;
pub use own_page::{OWN_NAME, OwnPage, OwnPageResponse, own_origin};
pub use proxy_server::Proxy;
#[cfg(fuzzing)]
pub(crate) use proxy_server::fuzz;
pub use recorded_headers::RecordedHeaders;
pub use route::Sleep;
pub use route_table::RouteTable;
