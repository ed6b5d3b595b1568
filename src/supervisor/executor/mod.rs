//! Carries out the effects of the engine.

mod active_run;
mod doorman;
mod doors;
pub mod executor;
pub mod job_runner;
mod listen_scan;
mod own_reloader;
mod passed_listeners;
mod probe_setup;
pub mod usage_meter;
mod watching;

pub use executor::Executor;
pub use job_runner::{JobChange, JobReport};
pub use usage_meter::{MeteredRun, UsageMeter};
