//! The guard: the process above all keepers, which outlives a killed supervisor.

mod guard_connection;
mod guard_handle;
mod guard_loop;
mod guard_protocol;

pub(crate) use guard_connection::GuardConnection;
pub use guard_handle::GuardHandle;
pub(crate) use guard_protocol::KEEPER_FDS;
