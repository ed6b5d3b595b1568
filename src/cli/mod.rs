//! The command line, the only layer that uses all others. Functions named like a command run it and
//! return its exit code.

mod args;
mod attach;
pub(crate) mod control;
mod doctor;
pub(crate) mod inspect;
pub(crate) mod render;
pub(crate) mod start;
pub(crate) mod tools;

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write, stderr, stdout};
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

pub use control::{ClientOptions, WaitOptions, debug, down, down_all, restart, start, stop, wait};
pub(crate) use inspect::logs;
pub use inspect::{LogsOptions, ps, ps_all, why};

use crate::config::{ConfigOverrides, ConfigSources};
use crate::error::exit;
use crate::log::{LogStyle, reader_closed};
use crate::model::{Message, MessageClass, Name};
use crate::suggest::did_you_mean;
use args::{Cli, CliCommand, ExportTarget};
use inspect::{LogFormat, LogStyleArgs};

/// Runs the command line; returns the exit code.
pub fn main() -> i32 {
    if tools::complete_if_asked() {
        return exit::OK;
    }
    crate::process::ignore_file_size_signal();
    let mut cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version were requested; anything else is an error.
            let code = if error.use_stderr() { exit::USAGE } else { exit::OK };
            let _ = error.print();
            return code;
        }
    };
    init_tracing();
    let files = cli.take_files();
    match cli.command {
        CliCommand::Up(up) => start::up(files, up),
        CliCommand::Run(run) => start::run(files, run),
        CliCommand::Check(args) => inspect::check(files, &args),
        CliCommand::Plan(args) => inspect::plan(files, &args),
        CliCommand::Ports(args) => inspect::ports(&files, &args),
        CliCommand::Presets(args) => inspect::presets::presets(&args),
        CliCommand::Doctor(args) => doctor::doctor(files, args.json),
        CliCommand::Schema => render::print(&crate::config::json_schema()),
        CliCommand::Completions(args) => tools::completions(args.shell),
        CliCommand::Man(args) => tools::man(&args),
        CliCommand::Ps(args) | CliCommand::Down(args) if args.all && !files.is_empty() => {
            render::fail(&all_and_one(), exit::USAGE, args.json)
        }
        CliCommand::Ps(args) if args.all => {
            with_client(&files, args.json, async |options, out, err| {
                ps_all(&options, out, err).await
            })
        }
        CliCommand::Ps(args) => {
            with_client(&files, args.json, async |options, out, err| ps(&options, out, err).await)
        }
        CliCommand::Down(args) if args.all => {
            with_client(&files, args.json, async |options, out, err| {
                down_all(&options, out, err).await
            })
        }
        CliCommand::Down(args) => {
            with_client(&files, args.json, async |options, out, err| down(&options, out, err).await)
        }
        CliCommand::Start(args) => with_client(&files, args.json, async |options, out, err| {
            start(&options, &args.services, out, err).await
        }),
        CliCommand::Stop(args) => with_client(&files, args.json, async |options, out, err| {
            stop(&options, &args.services, out, err).await
        }),
        CliCommand::Restart(args) => with_client(&files, args.json, async |options, out, err| {
            restart(&options, &args.services, out, err).await
        }),
        CliCommand::Attach(args) => attach::attach(&files, &args),
        CliCommand::Why(args) => with_client(&files, args.json, async |options, out, err| {
            why(&options, &args.service, out, err).await
        }),
        CliCommand::Wait(args) => with_client(&files, args.json, async |control, out, err| {
            let (services, what) = (args.services.clone(), args.what.unwrap_or_default());
            let options = WaitOptions { control, services, what, timeout: args.timeout };
            wait(&options, out, err).await
        }),
        CliCommand::Debug(args) => {
            with_client(&files, args.services.json, async |options, out, err| {
                debug(&options, &args.services.services, !args.off, out, err).await
            })
        }
        CliCommand::Env(args) => inspect::env(files, &args),
        CliCommand::Open(args) => tools::open(&files, &args),
        CliCommand::Exec(args) => tools::exec(files, &args),
        CliCommand::Export(export) => match export.what {
            ExportTarget::Vscode(args) => tools::export(files, &args),
        },
        CliCommand::Logs(args) => {
            let (json, narration) = (args.is_json(), args.narration());
            with_client(&files, json, async |control, out, err| {
                let (services, follow, last) = (args.services.clone(), args.follow, args.last());
                let (since, stream) = (args.since, args.stream.map(Into::into));
                let grep = args.grep.clone();
                let options =
                    LogsOptions { control, services, follow, last, since, stream, grep, narration };
                let look = log_style(stdout().is_terminal(), args.shown);
                let gone = stdout_closed();
                logs(&options, &mut render::LogRenderer::new(look), gone, out, err).await
            })
        }
    }
}

fn all_and_one() -> Message {
    Message::new(MessageClass::Usage, "`--all` covers every stack, but `-f` selects one")
        .help("remove one of them")
}

/// Resolves when stdout is a pipe and its reader has closed.
async fn stdout_closed() {
    match rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3) {
        Ok(stdout) => reader_closed(stdout).await,
        Err(_) => std::future::pending().await,
    }
}

/// Runs a command that talks to the running stack.
fn with_client(
    files: &[PathBuf],
    json: bool,
    command: impl AsyncFnOnce(ClientOptions, &mut dyn Write, &mut dyn Write) -> i32,
) -> i32 {
    let dir = project_dir(files);
    let options = ClientOptions { dir, json, color: color(&stdout()), socket: None };
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return render::fail(&no_runtime(&error), exit::FAILED, false),
    };
    let (mut out, mut err) = (stdout().lock(), stderr().lock());
    runtime.block_on(command(options, &mut out, &mut err))
}

/// Creates a runtime for a short command.
///
/// # Errors
/// No file descriptors are left; checked first, because tokio panics without.
fn runtime() -> io::Result<tokio::runtime::Runtime> {
    check_descriptors()?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// Creates a runtime for the supervisor. Its pool keeps its threads: at the process limit, blocking
/// work panics in an empty pool, and otherwise waits.
///
/// # Errors
/// No file descriptors or threads are left.
fn supervisor_runtime() -> io::Result<tokio::runtime::Runtime> {
    /// More than ever block at once. They are kept because they are soon needed again.
    const MOST_THREADS: usize = 128;
    check_descriptors()?;
    // As with descriptors: without a thread, the pool would panic.
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

fn check_descriptors() -> io::Result<()> {
    /// Descriptors that a runtime opens when it is created.
    const DESCRIPTORS: usize = 8;
    let spare = (0..DESCRIPTORS).map(|_| std::fs::File::open("/dev/null"));
    drop(spare.collect::<io::Result<Vec<_>>>()?);
    Ok(())
}

fn no_runtime(error: &io::Error) -> Message {
    Message::new(MessageClass::Limit, format!("cannot start: {error}"))
}

/// Returns the project directory: that of the first `-f` file, or else the current directory.
fn project_dir(files: &[PathBuf]) -> PathBuf {
    let cwd = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    match files.first().and_then(|file| file.parent()) {
        Some(dir) => cwd.join(dir),
        None => cwd,
    }
}

/// Enables devstack's own diagnostics, for its developers: `DEVSTACK_LOG=debug`.
fn init_tracing() {
    let Some(filter) = std::env::var("DEVSTACK_LOG").ok().filter(|text| !text.is_empty()) else {
        return;
    };
    let filter = tracing_subscriber::EnvFilter::new(filter);
    let set = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).try_init();
    // Fails only in tests, where it is already set.
    drop(set);
}

fn color(output: &impl IsTerminal) -> bool {
    output.is_terminal() && !no_color() && !is_dumb()
}

/// Returns whether the terminal, if there is one, shows only plain text.
fn is_dumb() -> bool {
    std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb")
}

fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

fn log_style(terminal: bool, shown: LogStyleArgs) -> LogStyle {
    let look = LogStyle::new(terminal, no_color() || (terminal && is_dumb()));
    let json = shown.output == LogFormat::Json;
    LogStyle { prefix: !shown.no_prefix, timestamps: shown.timestamps, json, ..look }
}

fn sources(files: Vec<PathBuf>, overrides: ConfigOverrides) -> Result<ConfigSources, Message> {
    let cwd = std::env::current_dir().map_err(|error| {
        Message::new(MessageClass::Usage, format!("cannot access the current directory: {error}"))
            .help("change to an existing directory")
    })?;
    let user = Some(rustix::process::geteuid().as_raw());
    Ok(ConfigSources { files, cwd, env: utf8_environment(), user, overrides })
}

/// Returns devstack's own environment, without variables that are not UTF-8.
fn utf8_environment() -> BTreeMap<String, String> {
    let text = |value: std::ffi::OsString| value.into_string().ok();
    std::env::vars_os().filter_map(|(name, value)| Some((text(name)?, text(value)?))).collect()
}

fn unknown_service<'a>(text: &str, names: impl Iterator<Item = &'a Name>) -> Message {
    let names: Vec<&str> = names.map(Name::as_str).collect();
    let message = Message::new(MessageClass::Usage, format!("unknown service `{text}`"));
    let all = || format!("available services: {}", names.join(", "));
    message.help(did_you_mean(text, names.iter().copied(), all))
}
