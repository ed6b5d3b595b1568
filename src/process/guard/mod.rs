//! The guard: the process above all services, which outlives a killed supervisor.

mod guard_connection;
mod guard_handle;
mod guard_loop;

pub(crate) use guard_connection::{GuardConnection, RunStart};
pub use guard_handle::GuardHandle;
pub use guard_loop::LastAct;
