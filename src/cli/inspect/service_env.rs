//! The environment of a service, from the running stack or from the files.

use std::path::PathBuf;
use std::sync::Arc;

use crate::cli::context;
use crate::cli::render::CommandError;
use crate::cli::start::{StackPreview, UpPreviewArgs};
use crate::control::{ClientError, ControlClient, exactly_one};
use crate::exit_code::ExitCode;
use crate::model::{EnvView, Name};
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
) -> Result<(EnvView, EnvViewSource), CommandError> {
    let answer = match ControlClient::here(&context::project_dir(&files)) {
        Ok(client) => context::runtime()?.block_on(client.env(service)),
        Err(error) => Err(error),
    };
    match answer {
        Ok(view) => Ok((view, EnvViewSource::Stack)),
        Err(ClientError::NotRunning(_)) => {
            Ok((env_from_files(files, service)?, EnvViewSource::Files))
        }
        Err(error) => Err(error.into()),
    }
}

fn env_from_files(files: Vec<PathBuf>, text: &str) -> Result<EnvView, CommandError> {
    let StackPreview { config: draft, stack, .. } =
        StackPreview::look(files, &UpPreviewArgs::default())?;
    let named = Name::new(text).map(|name| draft.services_named(&name)).unwrap_or_default();
    if named.is_empty() {
        let unknown = context::unknown_service(text, draft.services().chain(draft.groups()));
        return Err(CommandError::new(unknown, ExitCode::NOT_RUNNING));
    }
    let name = exactly_one(text, named)?;
    let service = stack.services.get(&name).expect("in the stack as in its config").clone();
    let given = EnvInputs {
        service,
        run: None,
        stack: Arc::new(stack),
        config: Arc::new(draft),
        environment: Arc::new(InheritedEnv::current()),
        terminal: false,
        container: None,
    };
    Ok(given.explain())
}

/// Note for an environment that does not come from a running stack.
pub(crate) const NOT_RUNNING_NOTE: &str = "note: no stack is running in this directory; `devstack up` would use these values, but ports may move\n";
