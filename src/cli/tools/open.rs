use std::io::{IsTerminal, Write, stderr, stdout};
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::json;

use super::browser::BrowserCommand;
use super::page;
use crate::cli::render::{CommandError, fail, finish, printable};
use crate::cli::{args, no_runtime, project_dir, runtime};
use crate::control::{ClientError, ControlClient};
use crate::error::exit;
use crate::model::{Message, MessageClass, Name};
use crate::process;
use crate::process::ExecError;

/// Help for machines where no browser can be started.
pub(crate) const NO_BROWSER: &str = "open it on a machine with a browser, or set BROWSER";

/// `devstack open [SERVICE]`: prints the URL of a service once it is ready and execs the browser.
pub(crate) fn open(files: &[PathBuf], args: &args::OpenArgs) -> i32 {
    let (name, url) = match ask(files, args.service.as_deref()) {
        Ok(found) => found,
        Err(failure) => {
            return finish(Err(CommandError::Failure(failure)), args.json, &mut stderr());
        }
    };
    if let Err(error) = print(&name, &url, args.json) {
        return finish(Err(CommandError::Output(error)), args.json, &mut stderr());
    }
    let Some(browser) = BrowserCommand::here() else {
        let message = Message::new(MessageClass::Spawn, "no browser found").help(NO_BROWSER);
        return fail(&message, exit::FAILED, args.json);
    };
    let dir = std::env::current_dir().unwrap_or_else(|_| "/".into());
    let (ExecError::Missing(message) | ExecError::NotExecutable(message)) =
        process::exec(&browser.command(&url.into()), &dir, std::env::vars_os(), browser_stdio());
    fail(&message, exit::FAILED, args.json)
}

/// Where the browser prints: stdout if it is a terminal, for text browsers, or else stderr, so that
/// stdout has only the URL.
fn browser_stdio() -> Stdio {
    match stdout().is_terminal() {
        true => Stdio::inherit(),
        false => Stdio::from(stderr()),
    }
}

fn ask(files: &[PathBuf], service: Option<&str>) -> Result<(Name, String), ClientError> {
    let client = ControlClient::here(&project_dir(files))?;
    let runtime = runtime().map_err(|error| ClientError::Refused(no_runtime(&error)))?;
    let say = |name: &Name, why: &str| {
        // Only informative: waiting continues even if this cannot be written.
        let _ = writeln!(stderr(), "waiting for {name}: {}", printable(why));
    };
    runtime.block_on(page::wait_for_page(&client, service, say))
}

fn print(name: &Name, url: &str, as_json: bool) -> std::io::Result<()> {
    let mut out = stdout().lock();
    match as_json {
        true => writeln!(out, "{}", json!({ "service": name, "url": url })),
        false => writeln!(out, "{}", printable(url)),
    }?;
    out.flush()
}
