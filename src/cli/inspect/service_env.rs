//! The environment of a service, from the running stack or from the files.

use std::path::PathBuf;
use std::sync::Arc;

use crate::cli::args::UpPreviewArgs;
use crate::cli::start::{Refused, StackPreview};
use crate::control::{ClientError, ControlClient, exactly_one};
use crate::error::exit;
use crate::model::{EnvView, Message, Name};
use crate::process::InheritedEnv;
use crate::supervisor::EnvInputs;

pub(crate) enum EnvViewSource {
    /// The running stack, with its configuration and ports.
    Stack,
    /// The files, because no stack runs; with the ports that `up` would choose now.
    Files,
}

/// Returns the environment of a service, from the running stack or else as `up` would set it.
pub(crate) fn service_env(
    files: Vec<PathBuf>,
    service: &str,
    as_json: bool,
) -> Result<(EnvView, EnvViewSource), Refused> {
    let refused = |message: &Message, code| Refused::because(message, code, as_json);
    let asked = ControlClient::here(&crate::cli::project_dir(&files)).and_then(|client| {
        let start = |error| ClientError::Refused(crate::cli::no_runtime(&error));
        let runtime = crate::cli::runtime().map_err(start)?;
        runtime.block_on(client.env(service))
    });
    match asked {
        Ok(view) => Ok((view, EnvViewSource::Stack)),
        Err(ClientError::NotRunning(_)) => {
            Ok((env_from_files(files, service, as_json)?, EnvViewSource::Files))
        }
        Err(failure) => Err(refused(failure.message(), failure.exit_code())),
    }
}

fn env_from_files(files: Vec<PathBuf>, text: &str, as_json: bool) -> Result<EnvView, Refused> {
    let refused = |message: &Message, code| Refused::because(message, code, as_json);
    let StackPreview { draft, stack, .. } =
        StackPreview::look(files, &UpPreviewArgs::default(), as_json)?;
    let named = Name::new(text).map(|name| draft.services_named(&name)).unwrap_or_default();
    if named.is_empty() {
        let names = draft.services().chain(draft.groups());
        return Err(refused(&crate::cli::unknown_service(text, names), exit::NOT_RUNNING));
    }
    let name = exactly_one(text, named).map_err(|message| refused(&message, exit::USAGE))?;
    let service = stack.services.get(&name).expect("in the stack as in its config").clone();
    let given = EnvInputs {
        service,
        run: None,
        stack: Arc::new(stack),
        draft: Arc::new(draft),
        environment: Arc::new(InheritedEnv::current()),
        terminal: false,
    };
    Ok(given.explain())
}

/// Note for an environment that does not come from a running stack.
pub(crate) const NOT_RUNNING_NOTE: &str = "note: no stack is running in this directory; `devstack up` would use these values, but ports may move";
