use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::ask;
use crate::cli::args::FileArgs;
use crate::cli::context;
use crate::cli::render::{CommandError, print};
use crate::control::ControlClient;
use crate::exit_code::ExitCode;
use crate::front_door::{DoorReply, DoorRequest};
use crate::model::{Message, MessageClass, Snapshot};
use crate::ports::{explain_held, holders_of_port};

/// `devstack front`.
#[derive(Debug, Args)]
pub struct FrontArgs {
    #[command(flatten)]
    pub files: FileArgs,
    /// Port to serve it on [default: `front` in `[stack.proxy]`]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `devstack front`: gives a front port to the stack of this directory, even if another has it.
pub(crate) fn front(files: &[PathBuf], args: &FrontArgs) -> Result<ExitCode, CommandError> {
    let client = ControlClient::here(&context::project_dir(files))?;
    let socket = client.socket().to_owned();
    let runtime = context::runtime()?;
    let snapshot = runtime.block_on(client.stack())?;
    let (service, port, url) = target(&snapshot, args.port)?;
    match runtime.block_on(ask(&DoorRequest::Front { socket, port }))? {
        Some(DoorReply::Done) => {}
        Some(DoorReply::Refused { text }) => {
            let holders = holders_of_port(port);
            let text = match text.starts_with("cannot listen") && !holders.is_empty() {
                false => text,
                true => format!("port {port} {}", explain_held(&holders)),
            };
            let help = "free the port, or choose another one with --port";
            return Err(Message::new(MessageClass::Port, text).help(help).into());
        }
        Some(DoorReply::Serving { .. } | DoorReply::Status(_)) | None => {
            return Err(no_names(&snapshot).into());
        }
    }
    print(&match args.json {
        true => {
            json!({ "url": url, "stack": snapshot.stack, "service": service }).to_string() + "\n"
        }
        false => format!("{url} leads to {service} of {} now\n", snapshot.stack),
    })
}

/// Returns the primary service, the port that is to lead to it, and the address of that.
fn target(snapshot: &Snapshot, port: Option<u16>) -> Result<(String, u16, String), Message> {
    let Some(proxy) = &snapshot.proxy else { return Err(no_names(snapshot)) };
    let primary =
        snapshot.services.iter().find(|view| Some(&view.name) == snapshot.primary.as_ref());
    let Some(service) = primary.filter(|view| view.proxy.is_some()) else {
        let text = format!("the primary service of {} has no name", snapshot.stack);
        let help = "set `primary = true` and `proxy = true` for the service that serves HTTP";
        return Err(Message::new(MessageClass::Usage, text).help(help));
    };
    let port = port.or(proxy.front).ok_or_else(|| {
        Message::new(MessageClass::Usage, "no front port is set")
            .help("use `devstack front --port 3000`, or set `front = 3000` in [stack.proxy]")
    })?;
    let name = service.group.as_ref().unwrap_or(&service.name).to_string();
    Ok((name, port, proxy.front_origin(port)))
}

fn no_names(snapshot: &Snapshot) -> Message {
    let text = format!("services of {} have no names now", snapshot.stack);
    let help = "see `devstack proxy`; names are off with DEVSTACK_PROXY=off, in `run`, and with `enabled = false` in [stack.proxy]";
    Message::new(MessageClass::Usage, text).help(help)
}
