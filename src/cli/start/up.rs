use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use tokio::sync::watch;

use super::existing::ExistingStack;
use super::launch::{self, StartedStack};
use super::open_page::PageOpener;
use super::options::{LogTarget, StartOptions};
use super::report_file::check_reports;
use super::timeline::{TimelineArgs, TimelineTarget};
use super::{background, existing, join};
use crate::cli::args::{FileArgs, StartupArgs};
use crate::cli::context;
use crate::cli::inspect::LogStyleArgs;
use crate::cli::render::{CommandError, warn};
use crate::cli::tui::{self, PendingTui};
use crate::engine::WhenIdle;
use crate::exit_code::ExitCode;
use crate::model::{DisplayDuration, Snapshot, StartCommand};
use crate::process;
use crate::process::ForkSide;
use crate::supervisor::{ShutdownHandle, StackEnd, SupervisorHandle};
use crate::text::{join, one_line};

/// `devstack up`.
#[derive(Debug, Args)]
pub struct UpArgs {
    #[command(flatten)]
    pub files: FileArgs,
    /// Services to start, with their dependencies [default: all]
    pub services: Vec<String>,
    /// Run in the background; return once every service is ready, done or failed
    #[arg(short, long)]
    pub detach: bool,
    #[command(flatten)]
    pub starting: StartupArgs,
    /// Start these services in debug mode, or all that have a `debug` entry
    #[arg(long, value_name = "SERVICE,…", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub debug: Option<String>,
    /// Fail if a wanted port is in use, whatever the file says
    #[arg(long)]
    pub strict_ports: bool,
    /// Do not watch files, neither sources nor the configuration
    #[arg(long)]
    pub no_watch: bool,
    /// Show the TUI; closing it with `q` leads to the log
    #[arg(long, conflicts_with_all = ["detach", "output"])]
    pub tui: bool,
    /// Open the primary service's page in the browser once everything is ready
    #[arg(long)]
    pub open: bool,
    /// Show a QR code of the stack's URL on the network
    #[arg(long)]
    pub qr: bool,
    #[command(flatten)]
    pub timeline: TimelineArgs,
    #[command(flatten)]
    pub shown: LogStyleArgs,
}

/// `devstack up`: runs the stack in the foreground until Ctrl-C, or until nothing is left to run.
pub(crate) fn up(files: Vec<PathBuf>, args: UpArgs) -> Result<ExitCode, CommandError> {
    let mut plan = StartOptions {
        command: StartCommand::Up,
        files,
        starting: args.starting,
        services: args.services,
        debug: args.debug,
        strict_ports: args.strict_ports,
        names: true,
        follow: !args.no_watch,
        shown: args.shown,
        qr: args.qr,
        timeline: args.timeline.target(),
        place: LogTarget::Stdout,
        modify_stack: |_| {},
        when_idle: WhenIdle::AwaitSave,
        may_ask: true,
        refused: ExitCode::FAILED,
        tui: None,
        daemon: None,
    };
    if args.tui {
        tui::check_terminal()?;
        plan.tui = PendingTui::new();
    }
    check_reports(plan.timeline.iter().filter_map(TimelineTarget::file))?;
    if args.detach {
        // Fork first, while the process is still small.
        let side = process::daemonize().map_err(|error| {
            CommandError::internal("detach into the background", &error, plan.refused)
        })?;
        match side {
            ForkSide::Front(front) => {
                let opener = args.open.then(PageOpener::new);
                let code = background::follow(front, plan.shown)?;
                if let (ExitCode::OK, Some(opener)) = (code, opener) {
                    open(opener, &context::project_dir(&plan.files));
                }
                return Ok(code);
            }
            ForkSide::Back(back) => (plan.place, plan.daemon) = (LogTarget::Background, Some(back)),
        }
    }
    plan.when_idle = match plan.daemon.is_some() || plan.on_terminal() {
        _ if !plan.follow => WhenIdle::Exit,
        true => WhenIdle::AwaitChange,
        false => WhenIdle::AwaitSave,
    };
    let joins = plan.on_terminal().then_some(plan.shown);
    let (dir, services) = (context::project_dir(&plan.files), plan.services.clone());
    // In the background, the foreground process opens the page.
    let mut opener = (args.open && plan.daemon.is_none()).then(PageOpener::new);
    match run(&mut plan, &mut opener) {
        Err(CommandError::AlreadyRunning(busy)) if args.detach => join::join(&plan, &busy),
        Err(CommandError::AlreadyRunning(_)) if args.tui => tui::tui(&plan.files),
        Err(CommandError::AlreadyRunning(busy)) => {
            if joins.is_some() {
                join::note_ignored_options(&plan);
                opener.into_iter().for_each(|opener| open(opener, &dir));
            }
            existing::follow_existing(&ExistingStack { busy, dir, services }, joins)
        }
        result => result,
    }
}

fn open(opener: PageOpener, dir: &Path) {
    let Ok(runtime) = context::runtime() else { return };
    let reported = runtime.block_on(opener.of_running(dir));
    warn(&(one_line(&reported) + "\n"));
}

fn run(plan: &mut StartOptions, opener: &mut Option<PageOpener>) -> Result<ExitCode, CommandError> {
    launch::start(plan, |launched| {
        let StartedStack { supervisor, handle, timeout, .. } = launched;
        let (settled, shutdown) = (supervisor.settled(), supervisor.shutdown_handle());
        if let Some(opener) = opener.take() {
            tokio::spawn(opener.when_settled(settled.clone(), handle.clone()));
        }
        async move {
            if let Some(timeout) = timeout {
                tokio::spawn(stop_when_late(timeout, settled, handle, shutdown));
            }
            let outcome = supervisor.run().await;
            Ok(match outcome.end {
                StackEnd::Proved | StackEnd::Abandoned | StackEnd::Panicked => {
                    ExitCode(outcome.code)
                }
                StackEnd::Unproved => ExitCode::FAILED,
            })
        }
    })
}

/// Stops the stack if services have no result in time. Failed ones stay for the user to fix.
async fn stop_when_late(
    time: Duration,
    settled: watch::Receiver<bool>,
    handle: SupervisorHandle,
    shutdown: ShutdownHandle,
) {
    if is_late(time, settled).await
        && let Ok(snapshot) = handle.snapshot().await
    {
        shutdown.shut_down(not_ready_within(time, &snapshot), ExitCode::FAILED.0);
    }
}

/// Returns whether the time is up before every service has a result. A stopped stack is not late.
async fn is_late(time: Duration, mut settled: watch::Receiver<bool>) -> bool {
    let start = settled.wait_for(|settled| *settled);
    tokio::time::timeout(time, start).await.is_err()
}

/// Describes what is not ready, and why.
pub(super) fn not_ready_within(time: Duration, snapshot: &Snapshot) -> String {
    let open = snapshot
        .in_progress()
        .map(|service| format!("{} is {} ({})", service.name, service.phase, service.cause));
    format!("not ready within {}: {}", DisplayDuration(time), join(open, "; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_has_settled_is_never_late() {
        let settled = watch::Sender::new(false);
        assert!(is_late(Duration::ZERO, settled.subscribe()).await);
        settled.send_replace(true);
        assert!(!is_late(Duration::ZERO, settled.subscribe()).await);
        let gone = watch::Sender::new(false).subscribe();
        assert!(!is_late(Duration::ZERO, gone).await);
    }
}
