//! Probes readiness and health of runs.
//!
//! [`start_readiness`] starts one task per probe of a run. Each probe is tried at once and then
//! after growing pauses until it succeeds; when all have, that is reported and no task is left. A
//! listener on a port counts only if it belongs to the run's own process tree, as far as the system
//! shows. [`start_health`] continues in rounds, if configured. A [`NotifySocket`] receives
//! `READY=1`.

mod attempt;
mod exec;
mod health;
mod http;
mod listens;
mod notice;
mod owner;
mod pauses;
mod probing;
mod report;
mod sight;
mod tcp;
#[cfg(test)]
mod tests;
mod trial;

pub use exec::{run_command, run_command_within};
pub use health::start_health;
pub use listens::start_debugger_probe;
pub use notice::{NOTIFY_SOCKET, NotifySocket};
pub use owner::PortOwnership;
pub use probing::{ProbeHandle, start_readiness};
pub use report::{ProbeFinding, ProbeReport};
pub use sight::ProbeContext;
pub use trial::{ProbeCommandEnd, ProbeCommandOutput};
