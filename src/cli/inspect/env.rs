use std::path::PathBuf;

use super::env_args::{EnvArgs, EnvFormat};
use super::service_env::{EnvViewSource, NOT_RUNNING_NOTE, service_env};
use crate::cli::render::{CommandError, EnvText, dotenv, print_bytes, shell, table, warn};
use crate::exit_code::ExitCode;
use crate::model::{EnvView, VariableOrigin};

/// `devstack env SERVICE`: prints the environment of a service.
pub(crate) fn env(files: Vec<PathBuf>, args: &EnvArgs) -> Result<ExitCode, CommandError> {
    let form = if args.json { EnvFormat::Json } else { args.format };
    let (mut view, source) = service_env(files, &args.service)?;
    view.variables.retain(|variable| args.all || variable.origin != VariableOrigin::Inherited);
    if let EnvViewSource::Files = source {
        warn(NOT_RUNNING_NOTE);
    }
    print_bytes(&text(&view, form, args.explain))
}

fn text(view: &EnvView, form: EnvFormat, explain: bool) -> Vec<u8> {
    let EnvText { text, left_out } = match form {
        EnvFormat::Json => {
            let mut text = serde_json::to_vec(view).expect("environments serialize to JSON");
            text.push(b'\n');
            return text;
        }
        _ if explain => {
            return table(view, &std::env::current_dir().unwrap_or_default()).into_bytes();
        }
        EnvFormat::Dotenv => dotenv(view),
        EnvFormat::Shell => shell(view),
    };
    if !left_out.is_empty() {
        let names = left_out.join(", ");
        warn(&format!(
            "note: omitted because this format cannot represent them: {names}; use --format json\n"
        ));
    }
    text
}
