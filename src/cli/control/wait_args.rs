use std::time::Duration;

use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};

use crate::cli::args::{FileArgs, duration};
use crate::model::WaitCondition;

/// `devstack wait`.
#[derive(Debug, Args)]
pub struct WaitArgs {
    #[command(flatten)]
    pub files: FileArgs,
    /// Services to wait for [default: all requested services]
    pub services: Vec<String>,
    /// Condition to wait for [default: services ready, tasks completed]
    #[arg(long = "for", value_name = "WHAT", value_enum)]
    pub what: Option<WaitCondition>,
    /// Give up after this time, such as 90s or 5m
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

impl ValueEnum for WaitCondition {
    fn value_variants<'a>() -> &'a [WaitCondition] {
        &[WaitCondition::Ready, WaitCondition::Completed, WaitCondition::Stopped]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let (name, help) = match self {
            WaitCondition::Up => return None,
            WaitCondition::Ready => ("ready", "Every service is ready; completed tasks count"),
            WaitCondition::Completed => ("completed", "Every service has exited successfully"),
            WaitCondition::Stopped => (
                "stopped",
                "No service is running or will start on its own; also when the whole stack has stopped",
            ),
        };
        Some(PossibleValue::new(name).help(help))
    }
}
