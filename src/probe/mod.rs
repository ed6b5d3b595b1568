//! Probes readiness and health of runs.
//!
//! [`start_readiness`] starts one task per probe of a run. Each probe is tried at once and then
//! after growing pauses until it succeeds; when all have, that is reported and no task is left. A
//! listener on a port counts only if it belongs to the run's own process tree, as far as the system
//! shows. [`start_health`] continues in rounds, if configured. A [`NotifySocket`] receives
//! `READY=1`.

mod debugger_port;
mod exec;
mod health;
mod http;
mod notify_socket;
mod probe_attempt;
mod probe_backoff;
mod probe_context;
mod probe_report;
mod readiness;
mod tcp;
#[cfg(test)]
mod tests;
mod tls;

pub use debugger_port::start_debugger_probe;
pub use exec::{ProbeCommandEnd, ProbeCommandOutput, run_command, run_command_within};
pub use health::start_health;
pub use notify_socket::{NOTIFY_SOCKET, NotifySocket};
pub use probe_context::{BoxedHealth, BoxedStart, ContainerProbes, ProbeContext};
pub use probe_report::{ProbeFinding, ProbeReport};
pub use readiness::{ProbeHandle, start_readiness};
pub use tcp::local_addresses;
