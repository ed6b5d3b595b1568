use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{IsTerminal, stdin, stdout};
use std::path::PathBuf;
use std::process::Stdio;

use clap::Args;

use crate::cli::args::FileArgs;
use crate::cli::inspect::{EnvViewSource, NOT_RUNNING_NOTE, service_env};
use crate::cli::render::{CommandError, warn};
use crate::container::exec_words;
use crate::exit_code::ExitCode;
use crate::model::{EnvView, Message, MessageClass, VariableSource};
use crate::process;
use crate::process::ExecError;

/// `devstack exec`.
#[derive(Debug, Args)]
pub struct ExecArgs {
    #[command(flatten)]
    pub files: FileArgs,
    /// Service name
    #[arg(value_name = "SERVICE")]
    pub service: String,
    /// Command to run, with its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    pub command: Vec<std::ffi::OsString>,
}

/// Variables that describe the terminal or output: the command has the caller's, not devstack's.
const TERMINAL_VARIABLES: [&str; 10] = [
    "TERM",
    "COLORTERM",
    "TERM_PROGRAM",
    "TERM_PROGRAM_VERSION",
    "COLUMNS",
    "LINES",
    "NO_COLOR",
    "FORCE_COLOR",
    "CLICOLOR",
    "CLICOLOR_FORCE",
];

/// `devstack exec SERVICE -- CMD`: execs a command in the service's directory and environment.
pub(crate) fn exec(files: Vec<PathBuf>, args: &ExecArgs) -> Result<ExitCode, CommandError> {
    let (view, source) = service_env(files, &args.service)?;
    if view.in_container {
        return Err(exec_inside(&view, &args.command));
    }
    if let EnvViewSource::Files = source {
        warn(NOT_RUNNING_NOTE);
    }
    let (message, code) =
        match process::exec(&args.command, &view.dir, variables(&view), Stdio::inherit()) {
            ExecError::Missing(message) => (message, ExitCode::RUN_NOT_FOUND),
            ExecError::NotExecutable(message) => (message, ExitCode::RUN_NOT_EXECUTABLE),
        };
    Err(CommandError::new(message, code))
}

/// Runs the command inside the container of the service. Returns only on failure.
fn exec_inside(view: &EnvView, command: &[OsString]) -> CommandError {
    let Some(place) = &view.container else {
        let text = format!("{} runs in a container, and none is running", view.service);
        let message = Message::new(MessageClass::NotRunning, text)
            .help(format!("start it with `devstack up` or `devstack start {}`", view.service));
        return CommandError::new(message, ExitCode::NOT_RUNNING);
    };
    let terminal = stdin().is_terminal() && stdout().is_terminal();
    let words = exec_words(place, command, terminal);
    match process::exec(&words, &view.dir, std::env::vars_os(), Stdio::inherit()) {
        ExecError::Missing(message) => CommandError::new(message, ExitCode::RUN_NOT_FOUND),
        ExecError::NotExecutable(message) => {
            CommandError::new(message, ExitCode::RUN_NOT_EXECUTABLE)
        }
    }
}

/// Returns the service's environment, plus the caller's terminal variables that it does not set.
fn variables(view: &EnvView) -> BTreeMap<OsString, OsString> {
    let own =
        TERMINAL_VARIABLES.iter().filter_map(|name| Some((name.into(), std::env::var_os(name)?)));
    let mut all: BTreeMap<OsString, OsString> = own.collect();
    all.insert("PWD".into(), view.dir.clone().into());
    let of_the_output = |name: &str| TERMINAL_VARIABLES.contains(&name);
    for variable in &view.variables {
        let by_default =
            matches!(variable.source, VariableSource::Inherited | VariableSource::Devstack);
        if !(by_default && of_the_output(&variable.name)) {
            all.extend(variable.value.get().map(|value| (variable.name.clone().into(), value)));
        }
    }
    all
}
