use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{Write, stderr};
use std::path::PathBuf;
use std::process::Stdio;

use super::complain::refuse;
use super::env_args::Exec;
use super::given::{OF_FILES, Source, environment};
use crate::error::exit;
use crate::model::{EnvView, VariableOrigin};
use crate::runtime::process::{self, ExecError};

/// Variables that describe the terminal or output: the command has the caller's, not devstack's.
const OF_THE_OUTPUT: [&str; 10] = [
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
pub(super) fn exec(files: Vec<PathBuf>, args: &Exec) -> i32 {
    let (view, source) = match environment(files, &args.service, false) {
        Ok(found) => found,
        Err(refused) => return refused.say(),
    };
    if let Source::Files = source {
        // Only informative: the command runs even if this cannot be written.
        let _ = writeln!(stderr(), "{OF_FILES}");
    }
    match process::exec(&args.command, &view.dir, variables(&view), Stdio::inherit()) {
        ExecError::Missing(message) => refuse(&message, exit::RUN_NOT_FOUND, false),
        ExecError::NotExecutable(message) => refuse(&message, exit::RUN_NOT_EXECUTABLE, false),
    }
}

/// Returns the service's environment, plus the caller's terminal variables that it does not set.
fn variables(view: &EnvView) -> BTreeMap<OsString, OsString> {
    let own = OF_THE_OUTPUT.iter().filter_map(|name| Some((name.into(), std::env::var_os(name)?)));
    let mut all: BTreeMap<OsString, OsString> = own.collect();
    all.insert("PWD".into(), view.dir.clone().into());
    let of_the_output = |name: &str| OF_THE_OUTPUT.contains(&name);
    for variable in &view.variables {
        let by_default =
            matches!(variable.origin, VariableOrigin::Inherited | VariableOrigin::Devstack);
        if !(by_default && of_the_output(&variable.name)) {
            all.extend(variable.value.get().map(|value| (variable.name.clone().into(), value)));
        }
    }
    all
}
