use std::io::{IsTerminal, stderr, stdout};
use std::path::PathBuf;
use std::process::Stdio;

use clap::Args;
use serde_json::json;

use super::browser::BrowserCommand;
use super::page;
use crate::cli::args::FileArgs;
use crate::cli::context;
use crate::cli::render::{CommandError, print, warn};
use crate::control::ControlClient;
use crate::exit_code::ExitCode;
use crate::model::{Message, MessageClass, Name};
use crate::process;
use crate::process::ExecError;
use crate::text::one_line;

/// `devstack open`.
#[derive(Debug, Args)]
pub struct OpenArgs {
    #[command(flatten)]
    pub files: FileArgs,
    /// Service to open [default: the primary service]
    #[arg(value_name = "SERVICE")]
    pub service: Option<String>,
    /// Print JSON in addition to opening the page
    #[arg(long)]
    pub json: bool,
}

/// Help for machines where no browser can be started.
pub(crate) const NO_BROWSER: &str = "open it on a machine with a browser, or set BROWSER";

/// `devstack open [SERVICE]`: prints the URL of a service once it is ready and execs the browser.
pub(crate) fn open(files: &[PathBuf], args: &OpenArgs) -> Result<ExitCode, CommandError> {
    let (name, url) = ask(files, args.service.as_deref())?;
    print(&match args.json {
        true => json!({ "service": name, "url": url }).to_string() + "\n",
        false => one_line(&url) + "\n",
    })?;
    let browser = BrowserCommand::here()
        .ok_or_else(|| Message::new(MessageClass::Spawn, "no browser found").help(NO_BROWSER))?;
    let dir = std::env::current_dir().unwrap_or_else(|_| "/".into());
    let (ExecError::Missing(message) | ExecError::NotExecutable(message)) =
        process::exec(&browser.command(&url.into()), &dir, std::env::vars_os(), browser_stdio());
    Err(CommandError::new(message, ExitCode::FAILED))
}

/// Where the browser prints: stdout if it is a terminal, for text browsers, or else stderr, so that
/// stdout has only the URL.
fn browser_stdio() -> Stdio {
    match stdout().is_terminal() {
        true => Stdio::inherit(),
        false => Stdio::from(stderr()),
    }
}

fn ask(files: &[PathBuf], service: Option<&str>) -> Result<(Name, String), CommandError> {
    let client = ControlClient::here(&context::project_dir(files))?;
    let say = |name: &Name, why: &str| warn(&format!("waiting for {name}: {}\n", one_line(why)));
    Ok(context::runtime()?.block_on(page::wait_for_page(&client, service, say))?)
}
