//! Commands that change a running stack or wait for it.

mod down_all;
mod options;
mod orphan_cleanup;
mod services;
#[cfg(test)]
mod services_tests;
mod wait;
mod wait_args;
mod wait_progress;

pub use down_all::down_all;
pub use options::ClientOptions;
pub(crate) use orphan_cleanup::OrphanCleanup;
pub use services::{debug, down, restart, start, stop};
pub use wait::{WaitOptions, wait};
pub use wait_args::WaitArgs;
