//! Whether a run is ready.
//!
//! [`probe`] starts one task per probe of one run. A probe is tried at once and then after growing pauses until
//! it holds; when each has held, that is reported and nothing is left running. What is seen on a port counts
//! only when the listener is of the run's own process tree, as far as the system shows that.

mod attempt;
mod exec;
mod http;
mod owner;
mod pauses;
mod probing;
mod program;
mod report;
mod sight;
mod tcp;
#[cfg(test)]
mod tests;

pub use owner::Owner;
pub use probing::{Probing, probe};
pub use report::{Finding, Report};
pub use sight::Sight;
