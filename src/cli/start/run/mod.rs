//! `devstack run -- CMD`.

mod ci_host;
mod command_env;
mod command_run;
mod junit;
mod run_outcome;
mod run_result;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::launch::{self, StartedStack};
use super::options::{LogTarget, StartOptions};
use super::report_file::{check_reports, write_report};
use super::timeline::{TimelineArgs, TimelineTarget};
use crate::atomic_file;
use crate::cli::args::{FileArgs, StartupArgs, duration};
use crate::cli::inspect::LogStyleArgs;
use crate::cli::render::{CommandError, message_text, warn};
use crate::engine::WhenIdle;
use crate::exit_code::ExitCode;
use crate::model::{Message, MessageClass, RestartPolicy, Stack, StartCommand};
use crate::supervisor::{ShutdownHandle, SignalListener, StackEnd};
use crate::text::join;
use ci_host::{CiSections, job_summary};
use command_run::{CommandRun, RunLimits, RunRecord};
use junit::junit_xml;
use run_outcome::{RunCause, RunOutcome, RunVerdict, conclude};
use run_result::{RunFindings, RunResult};

/// `devstack run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub files: FileArgs,
    /// Start only this service and its dependencies; can be repeated [default: all]
    #[arg(long = "service", value_name = "SERVICE")]
    pub services: Vec<String>,
    #[command(flatten)]
    pub starting: StartupArgs,
    /// Give up if the stack is not ready within this time
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub ready_timeout: Option<Duration>,
    /// Let ports move if they are in use, as the file says [default: fail]
    #[arg(long)]
    pub no_strict_ports: bool,
    /// Also serve services under their names, such as `http://web.shop.localhost:7780`
    #[arg(long)]
    pub proxy: bool,
    /// Stop the command as soon as a service fails
    #[arg(long)]
    pub abort_on_failure: bool,
    /// Write the result to this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub result: Option<PathBuf>,
    /// Write the result to this file as JUnit XML: a test case for each service and the command
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    #[command(flatten)]
    pub timeline: TimelineArgs,
    #[command(flatten)]
    pub shown: LogStyleArgs,
    /// Command to run, with its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

/// How long something may wait for the log to be printed; a terminal can be stuck.
const PRINT_LIMIT: Duration = Duration::from_secs(1);

/// `devstack run -- CMD`: runs a command once the stack is ready, stops everything, exits with its
/// code.
pub(crate) fn run(files: Vec<PathBuf>, args: RunArgs) -> Result<ExitCode, CommandError> {
    let mut plan = StartOptions {
        command: StartCommand::Run,
        files,
        starting: args.starting,
        services: args.services,
        debug: None,
        strict_ports: !args.no_strict_ports,
        names: args.proxy,
        follow: false,
        shown: args.shown,
        qr: false,
        timeline: args.timeline.target(),
        place: LogTarget::Stderr,
        modify_stack: disable_restarts,
        when_idle: WhenIdle::KeepAlive,
        may_ask: false,
        refused: ExitCode::RUN_FAILED_BEFORE_READY,
        tui: None,
        daemon: None,
    };
    let began = jiff::Timestamp::now();
    let (command, json, abort_on_failure) =
        (args.command, args.shown.is_json(), args.abort_on_failure);
    let sections = Arc::new(CiSections::detect(json));
    let reports = RunFiles { result: args.result, junit: args.junit };
    let files = reports.result.iter().chain(&reports.junit).map(PathBuf::as_path);
    check_reports(files.chain(plan.timeline.iter().filter_map(TimelineTarget::file)))?;
    let limits = RunLimits { all: plan.starting.timeout, ready: args.ready_timeout };
    let mut known = None;
    sections.begin("start");
    let result = launch::start(&mut plan, async |launched| {
        let StartedStack { supervisor, handle, stack, timeout: _, children } = launched;
        let signals = SignalListener::listen().map_err(|error| {
            Message::new(MessageClass::Limit, format!("cannot listen for signals: {error}"))
        })?;
        let command_run = CommandRun {
            command,
            handle,
            stack,
            state: supervisor.state(),
            shutdown: ShutdownOnDrop(supervisor.shutdown_handle()),
            signals,
            json,
            children,
            sections: sections.clone(),
            abort_on_failure,
            record: RunRecord::default(),
        };
        let command_run = tokio::spawn(command_run.run(limits));
        let outcome = supervisor.run().await;
        // The stack has stopped, so the command was terminated as well; its task is bounded.
        let finished = command_run.await.ok();
        let (own, orphans, facts) = finished.map_or((None, None, None), |finished| {
            (finished.verdict, finished.orphans, Some(finished.facts))
        });
        let left = match orphans {
            Some(orphans) if outcome.end != StackEnd::Abandoned => orphans.kill_remaining().await,
            Some(_) | None => Vec::new(),
        };
        if !left.is_empty() {
            tell(json, cannot_kill(&left)).await;
        }
        let unproved = outcome.end == StackEnd::Proved && !left.is_empty();
        let end = if unproved { StackEnd::Unproved } else { outcome.end };
        let (verdict, code) = conclude(ExitCode(outcome.code), end, own);
        known = Some((verdict, facts.unwrap_or_default()));
        code
    });
    sections.end();
    let (verdict, facts) = known.unwrap_or_else(|| (refused(&result), RunFindings::default()));
    let report = RunResult::new(began, verdict, facts);
    sections.annotate(&report);
    if let Err(error) = add_to_job_summary(&report) {
        let text = format!("cannot write the job summary: {error}");
        warn(&message_text(&Message::new(MessageClass::Disk, text), json));
    }
    let written = reports.write(&report);
    match (result, written) {
        // A failure of the run itself comes first.
        (Ok(ExitCode::OK), Err(message)) => Err(CommandError::new(message, ExitCode::FAILED)),
        (result, Err(message)) => {
            warn(&message_text(&message, json));
            result
        }
        (result, Ok(())) => result,
    }
}

/// The verdict on a run that did not start.
fn refused(result: &Result<ExitCode, CommandError>) -> RunVerdict {
    let (message, code) = match result {
        Ok(code) => (Message::new(MessageClass::Internal, "the run did not start"), *code),
        Err(error) => (error.message(), error.exit_code()),
    };
    RunVerdict::failed(RunOutcome::Refused, code, RunCause { message, service: None })
}

/// The files that a run writes at its end.
struct RunFiles {
    result: Option<PathBuf>,
    junit: Option<PathBuf>,
}

impl RunFiles {
    /// Writes what was asked for.
    fn write(&self, report: &RunResult) -> Result<(), Message> {
        let mut written = Ok(());
        if let Some(path) = &self.result {
            let mut json =
                serde_json::to_vec_pretty(report).expect("a report has only string keys");
            json.push(b'\n');
            written = written.and(write_report(path, &json));
        }
        if let Some(path) = &self.junit {
            let xml = junit_xml(report).map_err(|error| {
                Message::new(MessageClass::Internal, format!("cannot write JUnit XML: {error}"))
            });
            written = written.and(xml.and_then(|xml| write_report(path, &xml)));
        }
        written
    }
}

/// Adds to the summary of a job on GitHub, if it has one.
fn add_to_job_summary(report: &RunResult) -> io::Result<()> {
    let path = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty());
    let Some(path) = path else { return Ok(()) };
    // Other steps and the command itself write it, too.
    atomic_file::append(Path::new(&path), job_summary(report).as_bytes())
}

/// Prints a message to stderr, between the lines of the log.
async fn tell(json: bool, message: Message) {
    off_loop(move || warn(&message_text(&message, json))).await;
}

/// Does what may wait for the terminal on another thread; goes on without it if it takes longer.
async fn off_loop(act: impl FnOnce() + Send + 'static) {
    // A panic has been printed.
    drop(tokio::time::timeout(PRINT_LIMIT, tokio::task::spawn_blocking(act)).await);
}

fn cannot_kill(left: &[u32]) -> Message {
    let pids = join(left, ", ");
    let text = format!("cannot kill processes left by the command, even with SIGKILL: pid {pids}");
    let help = format!("inspect them with `ps -o pid,stat,args -p {}`", join(left, ","));
    Message::new(MessageClass::Orphan, text).help(help)
}

/// Disables restarts: during a smoke run a crash is a finding, not something to hide.
fn disable_restarts(stack: &mut Stack) {
    for service in stack.services.values_mut() {
        Arc::make_mut(service).restart.policy = RestartPolicy::No;
    }
}

/// Stops the stack at the latest when dropped, so that no bug leaves it running without a command.
struct ShutdownOnDrop(ShutdownHandle);

impl Drop for ShutdownOnDrop {
    fn drop(&mut self) {
        // Only the first reason counts, and there nearly always is one by now.
        self.0.shut_down("the command is gone", ExitCode::FAILED.0);
    }
}
