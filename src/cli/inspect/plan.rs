use std::path::PathBuf;

use clap::Args;

use crate::cli::args::FileArgs;
use crate::cli::context;
use crate::cli::render::{CommandError, print, text};
use crate::cli::start::{StackPreview, UpPreviewArgs};
use crate::control::{ClientError, ControlClient};
use crate::engine::{Engine, WhenIdle};
use crate::exit_code::ExitCode;
use crate::model::{Message, MessageClass, PlanView};

/// `devstack plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    pub files: FileArgs,
    #[command(flatten)]
    pub up: UpPreviewArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `devstack plan`: shows what applying the configuration, or `up`, would change.
pub(crate) fn plan(files: Vec<PathBuf>, args: &PlanArgs) -> Result<ExitCode, CommandError> {
    let text = match ControlClient::here(&context::project_dir(&files)) {
        Ok(client) => of_running(&client, args)?,
        Err(ClientError::NotRunning(_)) => of_up(files, args)?,
        Err(error) => return Err(error.into()),
    };
    print(&text)
}

fn of_running(client: &ControlClient, args: &PlanArgs) -> Result<String, CommandError> {
    if args.up != UpPreviewArgs::default() {
        let text = "a stack is running in this directory, so services and options cannot be given";
        return Err(Message::new(MessageClass::Usage, text)
            .help("omit them; they apply only when no stack is running")
            .into());
    }
    let runtime = context::runtime()?;
    Ok(match args.json {
        true => String::from_utf8_lossy(&runtime.block_on(client.plan_json())?).into_owned(),
        false => text(&runtime.block_on(client.plan())?),
    })
}

fn of_up(files: Vec<PathBuf>, args: &PlanArgs) -> Result<String, CommandError> {
    let StackPreview { config: draft, stack, selection } = StackPreview::look(files, &args.up)?;
    let view = PlanView {
        version: 1,
        stack: stack.name.clone(),
        dir: stack.dir.clone(),
        running: false,
        live: stack.live_reload,
        plan: Engine::new(selection, WhenIdle::Exit).preview(&stack),
        notes: draft.notes().to_vec(),
    };
    Ok(match args.json {
        true => serde_json::to_string(&view).expect("plans serialize to JSON") + "\n",
        false => text(&view),
    })
}
