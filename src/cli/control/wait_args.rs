use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::cli::args::{FileArgs, duration};
use crate::control::WaitFor;

/// `devstack wait`.
#[derive(Debug, Args)]
pub struct WaitArgs {
    #[command(flatten)]
    pub files: FileArgs,
    /// Services to wait for [default: all requested services]
    pub services: Vec<String>,
    /// Condition to wait for [default: services ready, tasks completed]
    #[arg(long = "for", value_name = "WHAT", value_enum)]
    pub what: Option<Awaited>,
    /// Give up after this time, such as 90s or 5m
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What `devstack wait` can wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Awaited {
    /// Every service is ready; completed tasks count
    Ready,
    /// Every service has exited successfully
    Completed,
    /// No service is running or will start on its own; also when the whole stack has stopped
    Stopped,
}

impl From<Awaited> for WaitFor {
    fn from(what: Awaited) -> WaitFor {
        match what {
            Awaited::Ready => WaitFor::Ready,
            Awaited::Completed => WaitFor::Completed,
            Awaited::Stopped => WaitFor::Stopped,
        }
    }
}
