//! Whether a run is ready, and whether it stays well.
//!
//! [`probe`] starts one task per probe of one run. A probe is tried at once and then after growing pauses until
//! it holds; when each has held, that is reported and nothing is left running. What is seen on a port counts
//! only when the listener is of the run's own process tree, as far as the system shows that.
//!
//! [`health`] goes on from there, in rounds, when the user asked for it. A [`Notice`] hears a service that says by
//! itself that it is ready.

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
