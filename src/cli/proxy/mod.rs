//! `devstack proxy` and `devstack front`.

mod front;
mod served_names;

pub(crate) use front::{FrontArgs, front};

use std::io::stdout;
use std::path::PathBuf;
use std::rc::Rc;

use clap::{Args, Subcommand};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::context;
use super::render::{CommandError, print, warn};
use crate::control::{CaDir, RuntimeDir};
use crate::exit_code::ExitCode;
use crate::front_door::{self, DoorFiles, DoorReply, DoorRequest, DoorStatus};
use crate::https::HttpsConfig;
use crate::model::{Message, MessageClass};
use crate::process;
use crate::proxy::OwnPage;
use served_names::ServedNames;

/// `devstack proxy`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct ProxyArgs {
    /// What the processes of devstack call.
    #[command(subcommand)]
    pub command: Option<ProxyCommand>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What only devstack itself calls.
#[derive(Debug, Subcommand)]
pub enum ProxyCommand {
    /// Be the process that all stacks share
    #[command(hide = true)]
    Serve {
        /// The runtime directory
        dir: PathBuf,
    },
}

/// `devstack proxy`: lists what the front door serves.
pub(crate) fn proxy(args: &ProxyArgs) -> Result<ExitCode, CommandError> {
    match &args.command {
        Some(ProxyCommand::Serve { dir }) => serve(&DoorFiles::below(dir)),
        None => list(args.json),
    }
}

/// Becomes the front door.
fn serve(files: &DoorFiles) -> Result<ExitCode, CommandError> {
    process::become_standalone();
    // Each connection takes two descriptors.
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    let ca = CaDir::locate().ok().map(|dir| dir.path().to_owned());
    let served = context::runtime()?.block_on(front_door::serve(
        files,
        HttpsConfig::new(ca),
        own_page(files),
    ));
    let internal = |error| CommandError::internal("serve names", &error, ExitCode::FAILED);
    served.map(|()| ExitCode::OK).map_err(internal)
}

/// Returns the dashboard, unless its files cannot be used.
#[cfg(feature = "dashboard")]
fn own_page(files: &DoorFiles) -> Option<Rc<dyn OwnPage>> {
    match crate::dashboard::Dashboard::new(files.dir()) {
        Ok(dashboard) => Some(Rc::new(dashboard)),
        Err(error) => {
            tracing::warn!(%error, "cannot serve the dashboard");
            None
        }
    }
}

#[cfg(not(feature = "dashboard"))]
fn own_page(_: &DoorFiles) -> Option<Rc<dyn OwnPage>> {
    None
}

fn list(json: bool) -> Result<ExitCode, CommandError> {
    let runtime = context::runtime()?;
    let status = runtime.block_on(door_status())?;
    let served = runtime.block_on(ServedNames::of(status));
    if json {
        return print(&(served.json().to_string() + "\n"));
    }
    if served.is_empty() {
        warn("no names: no running stack has a service with a name that is ready\n");
        return Ok(ExitCode::OK);
    }
    print(&served.table(context::color(&stdout())))
}

/// Asks the front door what it serves. `None`: there is none.
pub(crate) async fn door_status() -> Result<Option<DoorStatus>, Message> {
    match ask(&DoorRequest::Status).await? {
        Some(DoorReply::Status(status)) => Ok(Some(status)),
        Some(DoorReply::Refused { text }) => Err(Message::new(MessageClass::Busy, text)),
        Some(DoorReply::Serving { .. } | DoorReply::Done) | None => Ok(None),
    }
}

async fn ask(request: &DoorRequest) -> Result<Option<DoorReply>, Message> {
    let Some(runtime) = RuntimeDir::existing() else { return Ok(None) };
    let socket = DoorFiles::below(runtime.path()).socket();
    front_door::ask(&socket, request).await.map_err(|error| {
        Message::new(MessageClass::Busy, format!("cannot ask the proxy: {error}"))
            .help("stop the stacks of other versions of devstack: `devstack ps --all`")
    })
}
