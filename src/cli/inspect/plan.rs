use std::path::PathBuf;

use crate::cli::args;
use crate::cli::render::{print, printable, text};
use crate::cli::start::{Refused, StackPreview};
use crate::control::{ClientError, ControlClient};
use crate::engine::{Engine, WhenIdle};
use crate::error::exit;
use crate::model::{Message, MessageClass, PlanView};

/// `devstack plan`: shows what applying the configuration, or `up`, would change.
pub(crate) fn plan(files: Vec<PathBuf>, args: &args::PlanArgs) -> i32 {
    let found = match ControlClient::here(&crate::cli::project_dir(&files)) {
        Ok(client) => of_running(&client, args),
        Err(ClientError::NotRunning(_)) => of_up(files, args),
        Err(failure) => Err(Refused::by(&failure, args.json)),
    };
    match found {
        Ok(text) => print(&text),
        Err(refused) => refused.say(),
    }
}

impl Refused {
    fn by(failure: &ClientError, as_json: bool) -> Refused {
        let (message, code) = (failure.message(), failure.exit_code());
        let several = message.class == MessageClass::Config && message.text.contains('\n');
        match several && !as_json {
            // A diagnostic with its excerpt, as `check` prints it.
            true => {
                let lines = message.text.lines().map(|line| printable(line) + "\n");
                Refused(lines.collect(), code)
            }
            false => Refused::because(message, code, as_json),
        }
    }
}

fn of_running(client: &ControlClient, args: &args::PlanArgs) -> Result<String, Refused> {
    if !args.up.is_empty() {
        let text = "a stack is running in this directory, so services and options cannot be given";
        let message = Message::new(MessageClass::Usage, text)
            .help("omit them; they apply only when no stack is running");
        return Err(Refused::because(&message, exit::USAGE, args.json));
    }
    let start = |error: std::io::Error| {
        Refused::because(&crate::cli::no_runtime(&error), exit::FAILED, args.json)
    };
    let runtime = crate::cli::runtime().map_err(start)?;
    let refused = |failure: ClientError| Refused::by(&failure, args.json);
    match args.json {
        true => {
            let sent = runtime.block_on(client.plan_json()).map_err(refused)?;
            Ok(String::from_utf8_lossy(&sent).into_owned())
        }
        false => Ok(text(&runtime.block_on(client.plan()).map_err(refused)?)),
    }
}

fn of_up(files: Vec<PathBuf>, args: &args::PlanArgs) -> Result<String, Refused> {
    let StackPreview { draft, stack, selection } = StackPreview::look(files, &args.up, args.json)?;
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
