use std::time::Duration;

use clap::{Args, ValueEnum};

use super::args::{Files, duration};
use crate::control::WaitFor;

/// `devstack wait`.
#[derive(Debug, Args)]
pub struct Wait {
    #[command(flatten)]
    pub files: Files,
    /// The services [default: all that were asked for]
    pub services: Vec<String>,
    /// What to wait for [default: services are ready, tasks have completed]
    #[arg(long = "for", value_name = "WHAT", value_enum)]
    pub what: Option<Awaited>,
    /// Give up after this long, such as 90s or 5m
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What `devstack wait` can wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Awaited {
    /// Each is ready; a task that has completed counts
    Ready,
    /// Each has ended as expected
    Completed,
    /// Nothing of each runs, and nothing starts it by itself; also when the whole stack has ended
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
