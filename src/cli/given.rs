//! The environment of a service, wherever it is to be had.

use std::path::PathBuf;
use std::sync::Arc;

use super::args::AsUp;
use super::preview::{Preview, Refused};
use crate::control::{Client, Failure, only_one};
use crate::error::exit;
use crate::model::{EnvView, Message, Name};
use crate::runtime::given::Given;
use crate::runtime::process::Environment;

/// Where an environment comes from.
pub(super) enum Source {
    /// The running stack: with the configuration and the ports that it has.
    Stack,
    /// The files, because no stack runs: with the ports that `up` would give now.
    Files,
}

/// The environment of a service: of its process or its next one when a stack runs here, else what `up` would give it.
pub(super) fn environment(
    files: Vec<PathBuf>,
    service: &str,
    as_json: bool,
) -> Result<(EnvView, Source), Refused> {
    let refused = |message: &Message, code| Refused::because(message, code, as_json);
    let asked = Client::here(&super::stack_dir(&files)).and_then(|client| {
        let start = |error| Failure::Refused(super::no_runtime(&error));
        let runtime = super::runtime().map_err(start)?;
        runtime.block_on(client.env(service))
    });
    match asked {
        Ok(view) => Ok((view, Source::Stack)),
        Err(Failure::NotRunning(_)) => Ok((of_up(files, service, as_json)?, Source::Files)),
        Err(failure) => Err(refused(failure.message(), failure.exit_code())),
    }
}

fn of_up(files: Vec<PathBuf>, text: &str, as_json: bool) -> Result<EnvView, Refused> {
    let refused = |message: &Message, code| Refused::because(message, code, as_json);
    let Preview { draft, stack, .. } = Preview::look(files, &AsUp::default(), as_json)?;
    let named = Name::new(text).map(|name| draft.named(&name)).unwrap_or_default();
    if named.is_empty() {
        let names = draft.services().chain(draft.groups());
        return Err(refused(&super::unknown_service(text, names), exit::NOT_RUNNING));
    }
    let name = only_one(text, named).map_err(|message| refused(&message, exit::USAGE))?;
    let service = stack.services.get(&name).expect("it is made of the draft that has it").clone();
    let given = Given {
        service,
        run: None,
        stack: Arc::new(stack),
        draft: Arc::new(draft),
        environment: Arc::new(Environment::here()),
        terminal: false,
    };
    Ok(given.view())
}

/// What people should know about an environment that is not that of a running stack.
pub(super) const OF_FILES: &str =
    "note: no stack runs here: this is what `devstack up` would give now, and ports may move";
