use std::path::PathBuf;

use clap::Args;

use super::selection::selection;
use crate::cli::args::parse_port_override;
use crate::cli::context;
use crate::cli::render::CommandError;
use crate::config::{self, Config, ConfigOverrides};
use crate::control::{RuntimeDir, StateDir};
use crate::engine::Selection;
use crate::exit_code::ExitCode;
use crate::model::Stack;
use crate::ports::PortAllocator;
use crate::supervisor::reload::{LoadConstraints, check_hosts};

/// What of `up` matters to a plan while no stack runs. A running one is compared as it was started.
#[derive(Debug, Args, Default, PartialEq, Eq)]
pub struct UpPreviewArgs {
    /// Services to plan for, as for `up` [default: all]
    pub services: Vec<String>,
    /// Same as `up --port`
    #[arg(long = "port", value_name = "SERVICE=N", value_parser = parse_port_override)]
    pub ports: Vec<(String, u16)>,
    /// Same as `up --profile`
    #[arg(long = "profile", value_name = "PROFILE")]
    pub profiles: Vec<String>,
    /// Same as `up --host`
    #[arg(long, value_name = "ADDRESS")]
    pub host: Option<String>,
    /// Same as `up --no-deps`
    #[arg(long)]
    pub no_deps: bool,
    /// Same as `up --strict-ports`
    #[arg(long)]
    pub strict_ports: bool,
}

/// A stack as `up` would start it now. Creates, leases and remembers nothing.
pub(crate) struct StackPreview {
    pub config: Config,
    pub stack: Stack,
    pub selection: Option<Selection>,
}

impl StackPreview {
    /// Loads the configuration, and checks which ports are free.
    pub fn look(files: Vec<PathBuf>, up: &UpPreviewArgs) -> Result<StackPreview, CommandError> {
        let UpPreviewArgs { services, ports, profiles, host, no_deps, strict_ports } = up;
        let overrides = ConfigOverrides {
            default_name: None,
            ports: ports.clone(),
            strict_ports: *strict_ports,
            host: host.clone(),
            profiles: profiles.clone(),
        };
        let draft = config::load(&context::sources(files, overrides)?)?;
        check_hosts(&draft)?;
        let leases =
            RuntimeDir::create().map_err(|message| CommandError::new(message, ExitCode::FAILED))?;
        let remembered = StateDir::existing(draft.dir()).map(|dir| dir.port_history());
        let ports = PortAllocator::look(&leases.port_leases(), remembered.as_deref(), draft.dir());
        let selection = selection(&draft, services, *no_deps)?;
        let situation = LoadConstraints { selection, ..LoadConstraints::default() };
        let chosen = situation
            .with_requests(&draft, |asked| ports.preview(asked))
            .map_err(|conflicts| CommandError::Messages(conflicts, ExitCode::FAILED))?;
        let stack = draft.resolve(&chosen);
        Ok(StackPreview { config: draft, stack, selection: situation.selection })
    }
}
