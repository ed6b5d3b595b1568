//! Carries out the effects of the engine.

mod active_run;
mod container_runs;
mod doorman;
mod doors;
pub mod executor;
pub mod job_runner;
mod listen_scan;
mod own_reloader;
mod passed_listeners;
mod probe_setup;
mod terminals;
pub mod usage_meter;
mod watching;

pub(super) use active_run::CaptureSink;
pub use container_runs::RunRefusal;
pub use executor::Executor;
pub(super) use job_runner::TeeSink;
pub use job_runner::{JobChange, JobReport};
pub use usage_meter::{MeteredRun, UsageMeter};
