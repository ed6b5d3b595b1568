//! `devstack tui`, and the TUI of `up --tui`.

#[cfg(feature = "tui")]
mod host;
mod running_tui;

use std::io::{IsTerminal, stdin, stdout};
use std::path::PathBuf;

use clap::Args;

use crate::cli::args::FileArgs;
use crate::cli::render::CommandError;
use crate::exit_code::ExitCode;
use crate::model::{Message, MessageClass};
pub(super) use running_tui::PendingTui;

/// `devstack tui`.
#[derive(Debug, Args)]
#[command(
    after_help = "`?` lists the keys. Closing it with `q` stops nothing. `devstack up --tui` starts a stack in it."
)]
pub struct TuiArgs {
    #[command(flatten)]
    pub files: FileArgs,
}

/// Fails unless there is a terminal for the TUI, and this build has it.
pub(super) fn check_terminal() -> Result<(), Message> {
    if !cfg!(feature = "tui") {
        let text = "this build of devstack has no TUI";
        return Err(Message::new(MessageClass::Usage, text)
            .help("use `devstack logs -f`, or build it with the feature `tui`"));
    }
    if !stdin().is_terminal() || !stdout().is_terminal() {
        return Err(Message::new(MessageClass::Usage, "the TUI requires a terminal")
            .help("use `devstack logs -f` and `devstack ps --json` in scripts"));
    }
    Ok(())
}

#[cfg(not(feature = "tui"))]
pub(super) fn tui(_: &[PathBuf]) -> Result<ExitCode, CommandError> {
    check_terminal()?;
    Ok(ExitCode::USAGE)
}

/// `devstack tui`: shows the stack that runs in this directory until it is closed.
#[cfg(feature = "tui")]
pub(super) fn tui(files: &[PathBuf]) -> Result<ExitCode, CommandError> {
    use crate::cli::context;
    use crate::control::ControlClient;
    use crate::tui::{TuiEnd, TuiSession};

    check_terminal()?;
    // Before there are threads.
    let host = host::ClientHost::new();
    let dir = context::project_dir(files);
    let runtime = context::runtime()?;
    let result = runtime.block_on(async {
        let client = ControlClient::here(&dir)?;
        // An error that can be told is told before the terminal is taken.
        client.stack().await?;
        let session = TuiSession::begin(client, host, false, context::color(&stdout()))?;
        Ok(match session.run().await {
            TuiEnd::Closed => ExitCode::OK,
            TuiEnd::Interrupted => ExitCode::of_signal(libc::SIGINT),
            TuiEnd::Signal(number) => ExitCode::of_signal(number),
            TuiEnd::StackEnded => {
                crate::cli::render::warn("the stack has stopped\n");
                ExitCode::OK
            }
        })
    });
    runtime.shutdown_background();
    result
}
