//! What commands have in common: runtimes, directories, colors and the environment.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, stderr, stdout};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};

use super::ClientOptions;
use super::inspect::LogStyleArgs;
use super::render::CommandError;
use crate::config::{ConfigOverrides, ConfigSources};
use crate::control::ControlClient;
use crate::exit_code::ExitCode;
use crate::log::{LogStyle, reader_closed};
use crate::model::{Message, MessageClass, Name, Snapshot};
use crate::regular_file::open_null;
use crate::suggest;
use crate::sync::lock_unpoisoned;
use crate::sys::allocator;
use crate::text::quote;

/// Runs a command that talks to the running stack.
pub(super) fn with_client(
    files: &[PathBuf],
    json: bool,
    command: impl AsyncFnOnce(ClientOptions) -> Result<ExitCode, CommandError>,
) -> Result<ExitCode, CommandError> {
    let dir = project_dir(files);
    let options = ClientOptions { dir, json, color: color(&stdout()), socket: None };
    runtime()?.block_on(command(options))
}

/// Asks the stack that runs in `dir` for its state.
pub(super) fn snapshot(dir: &Path) -> Result<Snapshot, CommandError> {
    let client = ControlClient::here(dir)?;
    Ok(runtime()?.block_on(client.stack())?)
}

/// Creates a runtime for a short command.
pub(super) fn runtime() -> Result<Runtime, CommandError> {
    new_runtime()
        .map_err(|error| Message::new(MessageClass::Limit, format!("cannot start: {error}")).into())
}

/// Like [`runtime`], with the error of the system.
///
/// # Errors
/// No file descriptors are left; checked first, because tokio panics without.
pub(super) fn new_runtime() -> io::Result<Runtime> {
    check_descriptors()?;
    Builder::new_current_thread().enable_all().build()
}

/// Creates a runtime for the supervisor. Its pool keeps its threads: at the process limit, blocking
/// work panics in an empty pool, and otherwise waits.
///
/// # Errors
/// No file descriptors or threads are left.
pub(super) fn supervisor_runtime() -> io::Result<Runtime> {
    /// Enough while a few wait for a file system that hangs. They are kept because they are soon
    /// needed again, and each keeps free blocks of memory, so that there are no more.
    const MOST_THREADS: usize = 8;
    check_descriptors()?;
    // As with descriptors: without a thread, the pool would panic.
    let one = std::thread::Builder::new().spawn(|| ())?;
    // An empty thread does not panic.
    let _ = one.join();
    let runtime = Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(MOST_THREADS)
        .thread_keep_alive(Duration::MAX)
        .on_thread_park(trim_at_rest())
        .build()?;
    drop(runtime.spawn_blocking(|| ()));
    Ok(runtime)
}

/// Returns what the loop does before it sleeps: after a while, it gives up memory that it no longer
/// uses.
fn trim_at_rest() -> impl Fn() {
    const EVERY: Duration = Duration::from_secs(1);
    let last = Mutex::new(Instant::now());
    move || {
        let mut last = lock_unpoisoned(&last);
        if last.elapsed() >= EVERY {
            allocator::trim();
            *last = Instant::now();
        }
    }
}

fn check_descriptors() -> io::Result<()> {
    /// Descriptors that a runtime opens when it is created.
    const DESCRIPTORS: usize = 8;
    let spare = (0..DESCRIPTORS).map(|_| open_null());
    drop(spare.collect::<io::Result<Vec<_>>>()?);
    Ok(())
}

/// Resolves when stdout is a pipe and its reader has closed.
pub(super) async fn stdout_closed() {
    match rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3) {
        Ok(stdout) => reader_closed(stdout).await,
        Err(_) => std::future::pending().await,
    }
}

/// Returns the project directory: that of the first `-f` file, or else the current directory.
pub(super) fn project_dir(files: &[PathBuf]) -> PathBuf {
    let cwd = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    match files.first().and_then(|file| file.parent()) {
        Some(dir) => cwd.join(dir),
        None => cwd,
    }
}

/// Enables devstack's own diagnostics, for its developers: `DEVSTACK_LOG=debug`.
pub(super) fn init_tracing() {
    let Some(filter) = std::env::var("DEVSTACK_LOG").ok().filter(|text| !text.is_empty()) else {
        return;
    };
    let filter = tracing_subscriber::EnvFilter::new(filter);
    let set = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).try_init();
    // Fails only in tests, where it is already set.
    drop(set);
}

pub(super) fn color(output: &impl IsTerminal) -> bool {
    output.is_terminal() && !no_color() && !is_dumb()
}

/// Returns whether the terminal, if there is one, shows only plain text.
fn is_dumb() -> bool {
    std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb")
}

fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

pub(super) fn log_style(terminal: bool, shown: LogStyleArgs) -> LogStyle {
    let color = !no_color() && if terminal { !is_dumb() } else { color_is_forced() };
    let json = shown.is_json();
    LogStyle {
        color,
        prefix: !shown.no_prefix,
        timestamps: shown.timestamps,
        exact: false,
        github: is_github(),
        json,
    }
}

/// Returns whether the output is the log of a job on GitHub Actions.
pub(super) fn is_github() -> bool {
    std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true")
}

/// Returns whether a file or a pipe gets colors, too.
fn color_is_forced() -> bool {
    let is_set =
        |name| std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0");
    is_set("FORCE_COLOR") || is_set("CLICOLOR_FORCE")
}

pub(super) fn sources(
    files: Vec<PathBuf>,
    overrides: ConfigOverrides,
) -> Result<ConfigSources, Message> {
    let cwd = std::env::current_dir().map_err(|error| {
        Message::new(MessageClass::Usage, format!("cannot access the current directory: {error}"))
            .help("change to an existing directory")
    })?;
    let user = Some(rustix::process::geteuid().as_raw());
    let env = utf8_environment();
    Ok(ConfigSources { files, cwd, env, user, overrides, without_local: false })
}

/// Returns devstack's own environment, without variables that are not UTF-8.
fn utf8_environment() -> BTreeMap<String, String> {
    let text = |value: std::ffi::OsString| value.into_string().ok();
    std::env::vars_os().filter_map(|(name, value)| Some((text(name)?, text(value)?))).collect()
}

/// Returns the error for a word that names nothing.
pub(super) fn unknown(kind: &str, word: &str, names: &[&str]) -> Message {
    let (text, help) = suggest::unknown(kind, word, &quote(word), names);
    Message::new(MessageClass::Usage, text).help(help)
}

pub(super) fn unknown_service<'a>(text: &str, names: impl Iterator<Item = &'a Name>) -> Message {
    let names: Vec<&str> = names.map(Name::as_str).collect();
    unknown("service", text, &names)
}
