//! The command line: the only place that knows all the others.

mod args;
mod attach;
mod background;
mod browser;
mod check;
mod complain;
mod completions;
mod control_commands;
#[cfg(test)]
mod control_commands_tests;
mod control_options;
mod dispute;
mod doctor;
mod down_all;
mod env;
mod env_args;
mod env_text;
mod evict;
mod exec;
mod export_vscode;
mod given;
mod ground;
mod join;
mod launch;
mod left_behind;
mod log_args;
mod log_face;
mod logs;
mod man;
mod open;
mod opener;
mod page;
mod person;
mod plan;
mod plan_text;
mod ports;
mod presets;
mod preview;
mod ps;
mod ps_all;
mod ps_table;
mod relay;
mod run;
mod since;
mod stack_entry;
mod stacks_table;
mod table;
mod up;
mod wait;
mod wait_args;
mod wait_progress;
mod why;
mod why_args;
mod why_text;
mod word;

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write, stderr, stdout};
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

pub use control_commands::{debug, down, restart, start, stop};
pub use control_options::ControlOptions;
pub use down_all::down_all;
pub use logs::{LogFace, LogsOptions, StoredItems, logs};
pub use ps::ps;
pub use ps_all::ps_all;
pub use wait::{WaitOptions, wait};
pub use why::why;

use crate::config::{Overrides, Sources};
use crate::error::exit;
use crate::model::{Class, Message, Name};
use crate::runtime::log::{Look, reader_gone};
use crate::suggest::did_you_mean;
use args::{Cli, Command, Exported};
use log_args::{Form, Shown};

/// Does what the command line says; the exit code.
pub fn main() -> i32 {
    if completions::answered() {
        return exit::OK;
    }
    crate::runtime::process::outlive_file_limits();
    let mut cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are asked for; everything else is a mistake.
            let code = if error.use_stderr() { exit::USAGE } else { exit::OK };
            let _ = error.print();
            return code;
        }
    };
    trace();
    let files = cli.take_files();
    match cli.command {
        Command::Up(up) => up::up(files, up),
        Command::Run(run) => run::run(files, run),
        Command::Check(args) => check::check(files, &args),
        Command::Plan(args) => plan::plan(files, &args),
        Command::Ports(args) => ports::ports(&files, &args),
        Command::Presets(args) => presets::presets(&args),
        Command::Doctor(args) => doctor::doctor(files, args.json),
        Command::Schema => complain::print(&crate::config::schema()),
        Command::Completions(args) => completions::completions(args.shell),
        Command::Man(args) => man::man(&args),
        Command::Ps(args) | Command::Down(args) if args.all && !files.is_empty() => {
            complain::refuse(&all_and_one(), exit::USAGE, args.json)
        }
        Command::Ps(args) if args.all => {
            ask(&files, args.json, async |options, out, err| ps_all(&options, out, err).await)
        }
        Command::Ps(args) => {
            ask(&files, args.json, async |options, out, err| ps(&options, out, err).await)
        }
        Command::Down(args) if args.all => {
            ask(&files, args.json, async |options, out, err| down_all(&options, out, err).await)
        }
        Command::Down(args) => {
            ask(&files, args.json, async |options, out, err| down(&options, out, err).await)
        }
        Command::Start(args) => ask(&files, args.json, async |options, out, err| {
            start(&options, &args.services, out, err).await
        }),
        Command::Stop(args) => ask(&files, args.json, async |options, out, err| {
            stop(&options, &args.services, out, err).await
        }),
        Command::Restart(args) => ask(&files, args.json, async |options, out, err| {
            restart(&options, &args.services, out, err).await
        }),
        Command::Attach(args) => attach::attach(&files, &args),
        Command::Why(args) => ask(&files, args.json, async |options, out, err| {
            why(&options, &args.service, out, err).await
        }),
        Command::Wait(args) => ask(&files, args.json, async |control, out, err| {
            let (services, what) = (args.services.clone(), args.what.map(Into::into));
            let options = WaitOptions { control, services, what, timeout: args.timeout };
            wait(&options, out, err).await
        }),
        Command::Debug(args) => ask(&files, args.services.json, async |options, out, err| {
            debug(&options, &args.services.services, !args.off, out, err).await
        }),
        Command::Env(args) => env::env(files, &args),
        Command::Open(args) => open::open(&files, &args),
        Command::Exec(args) => exec::exec(files, &args),
        Command::Export(export) => match export.what {
            Exported::Vscode(args) => export_vscode::export(files, &args),
        },
        Command::Logs(args) => {
            let (json, narration) = (args.is_json(), args.narration());
            ask(&files, json, async |control, out, err| {
                let (services, follow, last) = (args.services.clone(), args.follow, args.last());
                let (since, stream) = (args.since, args.stream.map(Into::into));
                let grep = args.grep.clone();
                let options =
                    LogsOptions { control, services, follow, last, since, stream, grep, narration };
                let look = look(stdout().is_terminal(), args.shown);
                let gone = stdout_gone();
                logs(&options, &mut log_face::Face::new(look), gone, out, err).await
            })
        }
    }
}

/// Both every stack and one of them were named.
fn all_and_one() -> Message {
    Message::new(Class::Usage, "`--all` is about every stack, and `-f` names one")
        .help("leave out one of them")
}

/// Resolves when nobody reads stdout any more, if it is a pipe.
async fn stdout_gone() {
    match rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3) {
        Ok(stdout) => reader_gone(stdout).await,
        Err(_) => std::future::pending().await,
    }
}

/// Runs a command that asks the running stack.
fn ask(
    files: &[PathBuf],
    json: bool,
    command: impl AsyncFnOnce(ControlOptions, &mut dyn Write, &mut dyn Write) -> i32,
) -> i32 {
    let dir = stack_dir(files);
    let options = ControlOptions { dir, json, color: color(&stdout()), socket: None };
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return complain::refuse(&no_runtime(&error), exit::FAILED, false),
    };
    let (mut out, mut err) = (stdout().lock(), stderr().lock());
    runtime.block_on(command(options, &mut out, &mut err))
}

/// What waits for events.
///
/// # Errors
/// What the system says when it gives no descriptors. tokio takes one for signals in a way that panics,
/// so this looks first whether there are some.
fn runtime() -> io::Result<tokio::runtime::Runtime> {
    look_for_descriptors()?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// The same for what runs until somebody ends it. Its pool has one thread from the beginning, and keeps those that it
/// has: where no more processes are allowed, work for a pool without a thread panics, and for any other it waits.
///
/// # Errors
/// Also when the system gives no thread.
fn lasting_runtime() -> io::Result<tokio::runtime::Runtime> {
    /// More than ever look at something at once; kept for ever, because who was needed once is soon needed again.
    const MOST_THREADS: usize = 128;
    look_for_descriptors()?;
    // As with descriptors: the pool has no other way to say that there is none than to panic.
    let one = std::thread::Builder::new().spawn(|| ())?;
    // An empty thread does not panic.
    let _ = one.join();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(MOST_THREADS)
        .thread_keep_alive(Duration::MAX)
        .build()?;
    drop(runtime.spawn_blocking(|| ()));
    Ok(runtime)
}

fn look_for_descriptors() -> io::Result<()> {
    /// What a runtime opens while it is made.
    const DESCRIPTORS: usize = 8;
    let spare = (0..DESCRIPTORS).map(|_| std::fs::File::open("/dev/null"));
    drop(spare.collect::<io::Result<Vec<_>>>()?);
    Ok(())
}

/// What waits for events cannot be had.
fn no_runtime(error: &io::Error) -> Message {
    Message::new(Class::Limit, format!("cannot start: {error}"))
}

/// The folder of the stack that is meant: that of the first file that was named, else where we are.
fn stack_dir(files: &[PathBuf]) -> PathBuf {
    let cwd = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    match files.first().and_then(|file| file.parent()) {
        Some(dir) => cwd.join(dir),
        None => cwd,
    }
}

/// devstack's own diagnostics, for those who mend it: `DEVSTACK_LOG=debug`.
fn trace() {
    let Some(filter) = std::env::var("DEVSTACK_LOG").ok().filter(|text| !text.is_empty()) else {
        return;
    };
    let filter = tracing_subscriber::EnvFilter::new(filter);
    let set = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).try_init();
    // Set twice only in tests, where the first one does.
    drop(set);
}

/// Whether colours belong on this output.
fn color(output: &impl IsTerminal) -> bool {
    output.is_terminal() && !no_color() && !is_dumb()
}

/// Whether a terminal, if there is one, shows nothing but text.
fn is_dumb() -> bool {
    std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb")
}

fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// How the log looks on a terminal, or elsewhere.
fn look(terminal: bool, shown: Shown) -> Look {
    let look = Look::new(terminal, no_color() || (terminal && is_dumb()));
    let json = shown.output == Form::Json;
    Look { prefix: !shown.no_prefix, timestamps: shown.timestamps, json, ..look }
}

/// What a configuration is made from, here and now.
fn sources(files: Vec<PathBuf>, overrides: Overrides) -> Result<Sources, Message> {
    let cwd = std::env::current_dir().map_err(|error| {
        Message::new(Class::Usage, format!("the current folder cannot be used: {error}"))
            .help("change to a folder that exists")
    })?;
    let user = Some(rustix::process::geteuid().as_raw());
    Ok(Sources { files, cwd, env: outer_env(), user, overrides })
}

/// devstack's own environment, as far as it is text.
fn outer_env() -> BTreeMap<String, String> {
    let text = |value: std::ffi::OsString| value.into_string().ok();
    std::env::vars_os().filter_map(|(name, value)| Some((text(name)?, text(value)?))).collect()
}

/// Nobody is called that; perhaps somebody else was meant.
fn unknown_service<'a>(text: &str, names: impl Iterator<Item = &'a Name>) -> Message {
    let names: Vec<&str> = names.map(Name::as_str).collect();
    let message = Message::new(Class::Usage, format!("there is no service `{text}`"));
    let all = || format!("the services are: {}", names.join(", "));
    message.help(did_you_mean(text, names.iter().copied(), all))
}
