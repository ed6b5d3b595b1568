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

pub use exec::{try_out, try_out_within};
pub use health::health;
pub use listens::listens;
pub use notice::{NOTIFY_SOCKET, Notice};
pub use owner::Owner;
pub use probing::{Probing, probe};
pub use report::{Finding, Report};
pub use sight::Sight;
pub use trial::{Trial, Verdict};
