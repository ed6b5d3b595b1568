//! Commands that change a running stack or wait for it.

mod down_all;
mod options;
mod orphan_cleanup;
mod services;
#[cfg(test)]
mod services_tests;
mod wait;
mod wait_progress;

pub(crate) use down_all::down_all;
pub(crate) use options::ClientOptions;
pub(crate) use orphan_cleanup::OrphanCleanup;
pub(crate) use services::{DebugArgs, ServicesAction, ServicesArgs, change, down, print_result};
pub(crate) use wait::{WaitArgs, wait};
pub(crate) use wait_progress::WaitProgress;
