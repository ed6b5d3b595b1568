use std::path::PathBuf;

use super::selection::selection;
use crate::cli::args::UpPreviewArgs;
use crate::cli::context;
use crate::cli::render::CommandError;
use crate::config::{self, Config, ConfigOverrides};
use crate::control;
use crate::engine::Selection;
use crate::exit_code::ExitCode;
use crate::model::Stack;
use crate::ports::PortAllocator;
use crate::supervisor::reload::{LoadConstraints, check_hosts};

/// A stack as `up` would start it now. Creates, leases and remembers nothing.
pub(crate) struct StackPreview {
    pub draft: Config,
    pub stack: Stack,
    pub selection: Option<Selection>,
}

impl StackPreview {
    /// Loads the configuration, and checks which ports are free.
    pub fn look(files: Vec<PathBuf>, up: &UpPreviewArgs) -> Result<StackPreview, CommandError> {
        let UpPreviewArgs { services, ports, profiles, host, no_deps, strict_ports } = up;
        let overrides = ConfigOverrides {
            ports: ports.clone(),
            strict_ports: *strict_ports,
            host: host.clone(),
            profiles: profiles.clone(),
        };
        let draft = config::load(&context::sources(files, overrides)?)?;
        check_hosts(&draft)?;
        let leases = control::runtime_dir()
            .map_err(|message| CommandError::new(message, ExitCode::FAILED))?;
        let remembered = control::existing_state_dir(draft.dir()).map(|dir| dir.join("ports.json"));
        let ports = PortAllocator::look(&leases.join("ports"), remembered.as_deref(), draft.dir());
        let selection = selection(&draft, services, *no_deps)?;
        let situation = LoadConstraints { selection, ..LoadConstraints::default() };
        let chosen = situation
            .with_requests(&draft, |asked| ports.preview(asked))
            .map_err(|conflicts| CommandError::Messages(conflicts, ExitCode::FAILED))?;
        let stack = draft.resolve(&chosen);
        Ok(StackPreview { draft, stack, selection: situation.selection })
    }
}
