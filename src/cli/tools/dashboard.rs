#[cfg(not(feature = "dashboard"))]
use std::path::PathBuf;

use clap::Args;

use crate::cli::args::FileArgs;
#[cfg(feature = "dashboard")]
pub(crate) use served::dashboard;

/// `devstack dashboard`.
#[derive(Debug, Args)]
pub struct DashboardArgs {
    #[command(flatten)]
    pub files: FileArgs,
    /// Only print the address, without opening a browser
    #[arg(long)]
    pub no_open: bool,
    /// Serve on this port of 127.0.0.1 [default: the port of the proxy if it runs, else 7779 or any]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `devstack dashboard`, in a build without it.
#[cfg(not(feature = "dashboard"))]
pub(crate) fn dashboard(
    _: &[PathBuf],
    _: &DashboardArgs,
) -> Result<crate::exit_code::ExitCode, crate::cli::render::CommandError> {
    use crate::model::{Message, MessageClass};
    let message =
        Message::new(MessageClass::Usage, "this devstack was built without the dashboard");
    Err(message.help("build it with `--features dashboard`").into())
}

#[cfg(feature = "dashboard")]
mod served {
    use std::io;
    use std::path::{Path, PathBuf};

    use serde_json::json;

    use super::DashboardArgs;
    use crate::cli::context;
    use crate::cli::proxy::door_status;
    use crate::cli::render::{CommandError, print, warn};
    use crate::cli::tools::BrowserCommand;
    use crate::control::{InstanceLock, RuntimeDir};
    use crate::dashboard::{AloneServer, Dashboard, DashboardToken, launch_code};
    use crate::exit_code::ExitCode;
    use crate::model::{Message, MessageClass};
    use crate::process::DeferredCommand;
    use crate::proxy::own_origin;

    /// `devstack dashboard`: prints the address of the dashboard and opens it. Without a front door, it
    /// serves the dashboard itself until it is ended.
    pub(crate) fn dashboard(
        files: &[PathBuf],
        args: &DashboardArgs,
    ) -> Result<ExitCode, CommandError> {
        let browser = if args.no_open { None } else { BrowserCommand::here() };
        let browser = browser
            .and_then(|browser| DeferredCommand::new(|url| browser.clone().command(&url)).ok());
        let dir = RuntimeDir::create().map_err(CommandError::from)?;
        let token = DashboardToken::in_dir(dir.path()).map_err(|error| cannot("use", &error))?;
        let runtime = context::runtime()?;
        let shown = shown_stack(&context::project_dir(files));
        let door = match args.port {
            Some(_) => None,
            // One of another version cannot be asked, and serves no dashboard.
            None => runtime.block_on(door_status()).ok().flatten(),
        };
        let (origin, port, alone) = match door.and_then(|door| door.dashboard) {
            Some(port) => (own_origin("http", port), port, None),
            None => {
                let server = bind(dir.path(), args.port)?;
                (server.origin(), server.port(), Some(server))
            }
        };
        let link = |secret: &str| format!("{origin}/#{secret}{shown}");
        let url = link(&format!("token={}", token.as_str()));
        print(&match args.json {
            true => json!({ "url": url }).to_string() + "\n",
            false => url + "\n",
        })?;
        let open = async {
            let Some(mut browser) = browser else { return };
            match launch_code(port, &origin, &token).await {
                Ok(code) => browser.start(&link(&format!("code={code}"))),
                Err(error) => warn(&format!("cannot open the dashboard: {error}\n")),
            }
        };
        let Some(alone) = alone else {
            runtime.block_on(open);
            return Ok(ExitCode::OK);
        };
        warn("serving the dashboard until Ctrl-C\n");
        let served = runtime.block_on(async { tokio::join!(alone.run(), open).0 });
        served.map(|()| ExitCode::OK).map_err(|error| cannot("serve", &error).into())
    }

    fn bind(dir: &Path, port: Option<u16>) -> Result<AloneServer, Message> {
        let dashboard = Dashboard::new(dir).map_err(|error| cannot("use", &error))?;
        AloneServer::bind(port, dashboard).map_err(|error| {
            let what = port.map_or("listen".to_owned(), |port| format!("listen on port {port}"));
            let text = format!("cannot {what} for the dashboard: {error}");
            Message::new(MessageClass::Port, text).help("choose another port with --port")
        })
    }

    /// Returns the part of the link that shows the stack of this directory.
    fn shown_stack(dir: &Path) -> String {
        let found = InstanceLock::find(dir);
        found.map_or(String::new(), |found| format!("&stack={}", found.id()))
    }

    fn cannot(what: &str, error: &io::Error) -> Message {
        Message::new(MessageClass::Denied, format!("cannot {what} the dashboard: {error}"))
    }
}
