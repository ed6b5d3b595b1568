use std::io::{Write, stderr};
use std::path::PathBuf;

use super::up::selection;
use crate::cli::args::UpPreviewArgs;
use crate::config::{self, Config, ConfigOverrides};
use crate::control::{RuntimeDir, StateDir};
use crate::engine::Selection;
use crate::error::{exit, render};
use crate::model::{Message, Stack};
use crate::ports::PortAllocator;
use crate::supervisor::reload::{LoadConstraints, check_hosts, join_messages};

/// A stack as `up` would start it now. Creates, leases and remembers nothing.
pub(crate) struct StackPreview {
    pub draft: Config,
    pub stack: Stack,
    pub selection: Option<Selection>,
}

/// Why nothing can be shown: text for stderr, and exit code.
pub(crate) struct Refused(pub String, pub i32);

impl Refused {
    pub fn because(message: &Message, code: i32, as_json: bool) -> Refused {
        Refused(render(message, as_json), code)
    }

    /// Prints the text to stderr; returns the exit code.
    pub fn say(self) -> i32 {
        let Refused(text, code) = self;
        let _ = stderr().write_all(text.as_bytes());
        code
    }
}

impl StackPreview {
    /// Loads the configuration, and checks which ports are free.
    pub fn look(
        files: Vec<PathBuf>,
        up: &UpPreviewArgs,
        as_json: bool,
    ) -> Result<StackPreview, Refused> {
        let refused = |message: &Message, code| Refused::because(message, code, as_json);
        let UpPreviewArgs { services, ports, profiles, host, no_deps, strict_ports } = up;
        let overrides = ConfigOverrides {
            ports: ports.clone(),
            strict_ports: *strict_ports,
            host: host.clone(),
            profiles: profiles.clone(),
        };
        let sources = crate::cli::sources(files, overrides)
            .map_err(|message| refused(&message, exit::USAGE))?;
        let draft = config::load(&sources).map_err(|wrong| match as_json {
            true => refused(&wrong.summary(), exit::USAGE),
            false => Refused(wrong.render(crate::cli::color(&stderr())), exit::USAGE),
        })?;
        check_hosts(&draft).map_err(|message| refused(&message, exit::USAGE))?;
        let leases = RuntimeDir::create().map_err(|message| refused(&message, exit::FAILED))?;
        let remembered = StateDir::existing(draft.dir()).map(|dir| dir.port_history());
        let ports = PortAllocator::look(&leases.port_leases(), remembered.as_deref(), draft.dir());
        let selection = selection(&draft, services, *no_deps)
            .map_err(|message| refused(&message, exit::NOT_RUNNING))?;
        let situation = LoadConstraints { selection, ..LoadConstraints::default() };
        let chosen = situation
            .with_requests(&draft, |asked| ports.preview(asked))
            .map_err(|conflicts| refused(&join_messages(&conflicts), exit::FAILED))?;
        let stack = draft.resolve(&chosen);
        Ok(StackPreview { draft, stack, selection: situation.selection })
    }
}
